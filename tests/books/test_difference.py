"""Two recordings side by side: which rows there are, and where a difference may be named."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from tests.books.test_findings import BYTES, CALLS, COPY, pinning, whole
from tests.command import said
from tests.samples import PAYLOAD, changed, copied, looped, workload
from tests.socket_samples import reader, recording, sender
from tracer.books.analysis import document_of
from tracer.books.difference import Basis, Difference, Row, Unit, difference_of
from tracer.books.recording import encode
from tracer.books.socket_file import encode_sockets
from tracer.model import Document
from tracer.model.socket_recording import SocketRecording
from tracer.model.sockets import Packets, Transfer
from tracer.reports.difference import sentence_of

NAMES = ("a.json", "b.json")


def spliced() -> SocketRecording:
    """The same 23 x 10007 B, not copied."""
    splice = {"splice": Transfer(calls=CALLS, bytes=BYTES)}
    return whole(pinning(sent=splice, completions=None, left=Packets(shared=BYTES, packets=7, fragments=77)))


def compared(a: Document | SocketRecording, b: Document | SocketRecording) -> Difference:
    return difference_of(a, b, NAMES)


def row(found: Difference, name: str) -> Row:
    return next(one for one in found.rows if one.name == name)


@pytest.mark.parametrize("one", [whole(pinning(deferred=COPY)), whole(sender(), reader()), document_of(looped())])
def test_a_recording_does_not_differ_from_itself(one: Document | SocketRecording) -> None:
    """Of either kind."""
    found = compared(one, one)

    assert found.rows
    assert found.same_work
    assert [row.name for row in found.rows if row.differs] == []
    assert sentence_of(found) == "No figure that can be compared differs."


def test_the_same_work_in_another_way_differs_in_copies_and_ways() -> None:
    """The answer first: copied, or spliced."""
    found = compared(whole(pinning(deferred=COPY)), spliced())

    assert found.same_work
    assert sentence_of(found).startswith(
        "From A to B: send copies 1 → 0; way zerocopy 100.0 % → 0.0 %; way splice 0.0 %"
    )
    assert (row(found, "send copies").ratio, row(found, "way splice").ratio) == (0.0, None)


def test_other_work_is_compared_by_the_byte_alone() -> None:
    """Twice the calls for twice the bytes are no difference, and no ratio of calls is named."""
    twice = {"copy": Transfer(calls=2, bytes=20014)}
    found = compared(whole(sender()), whole(sender(sent=twice, left=Packets(copied=20014, packets=2, fragments=2))))

    assert not found.same_work
    assert row(found, "send calls").why_not == "other work"
    assert row(found, "sent").why_not == "the work"
    assert (row(found, "bytes a send call").ratio, row(found, "send copies").differs) == (1.0, False)
    assert "only what is per byte" in found.notes[0]


def test_what_one_of_them_does_not_know_is_no_difference() -> None:
    """Absent is not zero: a run has no calls, a recording of sockets no throughput."""
    found = compared(document_of(looped()), whole(sender()))

    assert [(row(found, name).a is None, row(found, name).why_not) for name in ("send calls", "throughput")] == [
        (True, "A has none"), (False, "B has none"),
    ]  # fmt: skip
    assert not row(found, "throughput").differs


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (whole(sender(), kernel="6.1"), "different kernels: 6.12, 6.1"),
        (whole(sender(), lost=3), "B cannot be trusted: 3 sockets lost"),
        (whole(sender(), window=msgspec.structs.replace(recording().window, elapsed_s=2.0)), "one run each"),
    ],
)
def test_what_must_be_known_before_comparing_is_noted(other: SocketRecording, words: str) -> None:
    """Other kernels, doubt, and times without an interval."""
    assert any(words in note for note in compared(whole(sender()), other).notes)


def test_a_difference_of_runs_has_stages_and_times() -> None:
    """By the byte, with the functions that copied."""
    slow = document_of(changed(looped(), workload=workload(elapsed_s=0.002)))
    found = compared(document_of(looped()), slow)

    assert row(found, "throughput").ratio == 0.5
    # Of a file of before each thread's CPU clock was read: by mode alone.
    assert row(found, "CPU of the sender").a == 800_000 / PAYLOAD
    assert any(one.name.startswith("deferred copy: ") and one.a == 1 for one in found.rows)
    assert row(compared(document_of(copied()), slow), "way zerocopy").differs


@pytest.mark.parametrize(
    ("unit", "a", "b", "told"),
    [
        (Unit.RATIO, 1.0, 0.0, "1 → 0"),
        (Unit.RATIO, 1.000178, 1.0, "1.0002 → 1.0000"),
        (Unit.RATIO, 1.0, 2.38e-07, "1.000 → 0.000"),
        (Unit.SHARE, 0.99999, 1.0, "99.999 % → 100.000 %"),
        (Unit.RATE, 1e9, 1.0001e9, "8.000 Gb/s → 8.001 Gb/s"),
        (Unit.NS_PER_BYTE, 0.5, 0.25, "0.500 ns/B → 0.250 ns/B"),
        (Unit.COUNT, 10.0, 33.0, "10 → 33"),
    ],
)
def test_both_sides_have_one_precision(unit: Unit, a: float, b: float, told: str) -> None:
    """As much as it takes to see that they differ."""
    one = Row(name="x", unit=unit, basis=Basis.PER_BYTE, a=a, b=b, ratio=b / a)

    assert sentence_of(Difference(a="", b="", same_work=True, rows=[one], notes=[])) == f"From A to B: x {told}."


def test_diff_prints_both_and_the_rows(tmp_path: Path) -> None:
    """As text and as JSON; of kinds that are mixed, too."""
    files = tmp_path / "a.json", tmp_path / "b.json"
    files[0].write_bytes(encode_sockets(whole(pinning(deferred=COPY))))
    files[1].write_bytes(encode(document_of(looped())))
    code, output, _ = said("diff", *files)

    assert code == 0
    assert [line for line in output.splitlines() if line != line.rstrip()] == []
    assert all(name in output for name in ("a.json", "b.json", "send copies", "B against A"))
    assert json.loads(said("diff", *files, "--json")[1])["schema"] == "nettrace.difference/1"


def test_what_is_no_recording_is_named(tmp_path: Path) -> None:
    """Exit code 2, and which file."""
    file = tmp_path / "a.json"
    file.write_bytes(encode(document_of(looped())))
    code, _, errors = said("diff", file, tmp_path / "none.json")

    assert code == 2
    assert "none.json" in errors
