"""The file format: what is written is read again, and no damaged file gets a traceback."""

from __future__ import annotations

import json

import jsonschema
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.samples import copied, looped
from tracer.books.analysis import document_of, time_ratio
from tracer.books.recording import decode, encode, json_schema
from tracer.errors import RecordingError

GOOD = encode(document_of(looped()))


@pytest.mark.parametrize("sample", [looped(), copied("twocopy"), looped(retransmitted=5)])
def test_what_is_encoded_is_decoded_unchanged(sample):
    """The recording alone, as the lab hands it over, and the whole document, as files hold it."""
    assert decode(encode(sample)) == sample
    assert decode(encode(document_of(sample))) == sample


@pytest.mark.parametrize("sample", [looped(), copied("twocopy")])
def test_documents_satisfy_the_published_schema(sample):
    """`nettrace schema` describes what --json prints; an independent validator agrees."""
    jsonschema.Draft202012Validator(json_schema()).validate(json.loads(encode(document_of(sample))))


def test_the_promised_fields_are_there():
    """Names and places that programs may rely on."""
    document = json.loads(GOOD)

    assert document["schema"] == "nettrace.recording/2"
    assert {"mode", "size", "threads", "messages", "duration_s", "link", "observer"} <= set(document["experiment"])
    assert {"payload_bytes", "sends", "elapsed_s", "latency_ns", "completions", "enobufs"} <= set(document["workload"])
    entry = next(row for row in document["ledger"]["entries"] if row["stage"] == "deferred_copy")
    assert {"function", "source", "bytes", "events", "pages", "per_payload_byte"} <= set(entry)
    assert document["ledger"]["copies_per_byte"] == {"send": 1.0, "receive": 1.0}
    assert document["ledger"]["trustworthy"] is True
    assert document["verdict"]["code"] == "copied-by-loopback"
    assert document["overhead"]["observed_over_bare"] == pytest.approx(1.1)


def test_the_verdict_of_a_file_is_never_believed():
    """A file that claims another verdict than its own numbers give is overruled."""
    forged = json.loads(GOOD)
    forged["verdict"] = {"code": "zero-copy", "sentence": "trust me", "next": []}

    assert document_of(decode(json.dumps(forged).encode())).verdict.code == "copied-by-loopback"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not a recording"),
        (b"\xff\xfe", "not a recording"),
        (b"root:x:0:0:root", "not a recording"),
        (b'{"schema": "nettrace', "damaged"),
        (GOOD[: len(GOOD) // 2], "damaged"),
        (b"[" * 100_000, "not a recording"),
        (b'{"a":' * 100_000, "not a recording"),
        (b"[]", "not a recording"),
        (b'{"hello": 1}', "not a recording"),
        (b'{"schema": "nettrace.recording/99"}', "not a recording"),
        (b'{"schema": "nettrace.recording/1"}', "damaged"),
        (GOOD.replace(b'"size": 10007', b'"size": 0'), "damaged"),
        (GOOD.replace(b'"size": 10007', b'"size": "10007"'), "damaged"),
        (GOOD.replace(b'"peer": null', b'"peer": "host:nettrace"'), "damaged"),
        (GOOD.replace(b'"events": 9', b'"events": -9'), "damaged"),
        (GOOD.replace(b'"events": 9', b'"events": 1' + b"0" * 400), "damaged"),
    ],
)
def test_a_damaged_or_foreign_recording_is_a_clear_error(data, reason):
    """What is wrong, and what to do; exit code 2."""
    with pytest.raises(RecordingError, match=reason) as caught:
        decode(data)

    assert caught.value.exit_code == 2


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(position=st.integers(0, len(GOOD) - 1), replacement=st.binary(max_size=8), removed=st.integers(0, 400))
def test_any_damage_gives_an_error_or_a_valid_document(position, replacement, removed):
    """Bytes replaced or cut out anywhere: RecordingError, or a recording from which a document follows."""
    data = GOOD[:position] + replacement + GOOD[position + removed :]
    try:
        sample = decode(data)
    except RecordingError:
        return

    document_of(sample)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def paths(value, prefix=()):
    yield prefix
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from paths(inner, (*prefix, key))


PATHS = [path for path in paths(json.loads(GOOD)) if path]


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(path=st.sampled_from(PATHS), value=JSON)
def test_any_value_in_any_field_gives_an_error_or_a_valid_document(path, value):
    """Every field is validated: type and range, however deep."""
    document = json.loads(GOOD)
    parent = document
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = value
    try:
        sample = decode(json.dumps(document).encode())
    except RecordingError:
        return

    encode(document_of(sample))


@pytest.mark.parametrize("kernel", ["\x1b[2J", "6.1\n6.2", "\u202e", "\x9b1m"])
def test_what_a_terminal_would_obey_is_shown(kernel):
    """A file is untrusted, whoever wrote it."""
    document = json.loads(GOOD)
    document["host"]["kernel"] = kernel
    found = decode(json.dumps(document).encode())

    assert found.host.kernel == kernel.encode("unicode_escape").decode()


@pytest.mark.parametrize(("elapsed_s", "payload"), [(0.0, 0), (0.0, 1), (5e-324, 2**63), (1.0, 0), (1e308, 2**63)])
def test_no_number_of_a_file_makes_a_ratio_of_nothing(elapsed_s, payload):
    """Zero, and what is so small or large that its products are zero or infinite."""
    bare = msgspec.structs.replace(looped().workload, elapsed_s=elapsed_s, payload_bytes=payload)
    ratio = time_ratio(1.0, payload, bare)

    assert ratio is None or ratio > 0
