"""The modes beside the three of the study, in the books: pages that are referenced, headers that are copied, flags."""

from __future__ import annotations

import msgspec

from tests.function_samples import on_nic
from tests.samples import MESSAGES, PAYLOAD, changed, experiment, recording, tracepoints, workload
from tracer.books.analysis import document_of
from tracer.model import Document, LawState, Recording, Stage
from tracer.reports.picture import draw_path

HEADERS = 1250 * MESSAGES
PINNED = PAYLOAD - HEADERS


def spliced(mode: str = "sendfile", size: int = PAYLOAD) -> Document:
    """Over lo; so much of the payload was referenced, the rest copied in."""
    rest = {} if size == PAYLOAD else {"cgroup_egress__copied": (1, PAYLOAD - size)}
    observation = tracepoints(
        cgroup_egress__shared=(9, size),
        cgroup_ingress__shared=(9, PAYLOAD),
        skb_copy_datagram_iovec__shared=(11, PAYLOAD),
        **rest,
    )
    return document_of(recording(observation, mode))


def with_headers(asked_bytes: int | None = PINNED) -> Document:
    """zerocopy-more over lo: all packets are mixed."""
    observation = tracepoints(
        cgroup_egress__mixed=(9, PAYLOAD, 70),
        cgroup_ingress__copied=(9, PAYLOAD),
        skb_copy_datagram_iovec__copied=(11, PAYLOAD),
    )
    observed = workload(asked_bytes=asked_bytes, asked_sends=MESSAGES, sends=2 * MESSAGES)
    return document_of(recording(observation, "zerocopy-more", observed=observed))


def of_uring(copied: int) -> Recording:
    """SEND_ZC over a NIC: nothing was copied, and so many notifications say that something was."""
    sample = on_nic(copied=copied)
    return changed(sample, experiment=msgspec.structs.replace(sample.experiment, mode="uring-zerocopy"))


def test_what_is_sent_by_reference_is_copied_by_nobody_but_the_reader() -> None:
    """One entry more, all laws hold, and the sentence says so."""
    found = spliced()

    assert found.verdict.code == "spliced"
    assert found.verdict.sentence.startswith("Nothing was copied on the sending side: every byte left from the pages")
    assert (found.ledger.bytes_of(Stage.SPLICE), found.ledger.bytes_of(Stage.COPY_IN)) == (PAYLOAD, 0)
    assert found.ledger.copies_per_byte.send == 0
    assert {law.id for law in found.ledger.laws if law.state is not LawState.HOLDS} == set()


def test_a_part_that_was_referenced_is_called_a_part() -> None:
    """No more is claimed than was seen."""
    sentence = spliced(size=PAYLOAD - 7).verdict.sentence

    assert f"{PAYLOAD - 7:,} of {PAYLOAD:,} B left from the pages" in sentence


def test_a_picture_begins_where_the_bytes_lie() -> None:
    """In a file, or in the sender's memory."""
    assert draw_path(spliced())[0] == "  [file in the page cache]"
    assert draw_path(spliced("vmsplice"))[0] == "  [sender's 8 fields]"


def test_a_picture_names_as_many_fields_as_there_are() -> None:
    """A message of fewer bytes than fields has one piece."""
    base = spliced("vmsplice")
    asked = {fields: experiment("vmsplice", fields=fields) for fields in (1, 17, 20000)}
    drawn = {fields: draw_path(msgspec.structs.replace(base, experiment=one))[0] for fields, one in asked.items()}

    assert drawn == {1: "  [sender's buffer]", 17: "  [sender's 17 fields]", 20000: "  [sender's buffer]"}


def test_calls_tell_apart_what_mixed_packets_do_not() -> None:
    """Bytes that asked for it were pinned, the headers copied in; both by the engine's word, and then copied again."""
    ledger = with_headers().ledger

    assert (ledger.bytes_of(Stage.COPY_IN), ledger.bytes_of(Stage.PIN)) == (HEADERS, PINNED)
    assert {ledger.entry(stage).source for stage in (Stage.COPY_IN, Stage.PIN)} == {"engine"}
    assert ledger.bytes_of(Stage.DEFERRED_COPY) == PAYLOAD
    assert {law.id: law.state for law in ledger.laws}["T.L1"] is LawState.HOLDS
    assert {law.id: law.state for law in ledger.laws}["L7"] is LawState.HOLDS


def test_more_asked_for_than_left_in_such_packets_is_a_breach() -> None:
    """The packets are the witness of the calls."""
    laws = {law.id: law.state for law in with_headers(PAYLOAD + 1).ledger.laws}

    assert laws["T.L1"] is LawState.BROKEN


def test_without_the_calls_mixed_packets_stay_untold() -> None:
    """As in a file of before they were counted apart."""
    found = with_headers(None)

    assert found.verdict.code == "mixed"
    assert found.ledger.bytes_of(Stage.PIN) is None


def test_a_verdict_with_headers_says_how_much_was_pinned() -> None:
    """And no limit on pinned pages is blamed."""
    sentence = with_headers().verdict.sentence

    assert f"{PINNED:,} of {PAYLOAD:,} B were pinned, but every byte was copied after all" in sentence


def test_io_uring_s_flag_that_claims_a_copy_is_refuted() -> None:
    """Nothing was copied: the notifications of requests that share a packet say so all the same."""
    found = document_of(of_uring(copied=4)).verdict

    assert found.code == "zero-copy"
    assert f"io_uring's completion flag is wrong: 4 of {MESSAGES} notifications say copied" in found.sentence


def test_io_uring_s_flag_that_claims_none_is_quoted() -> None:
    """It is right."""
    assert f"(completions: 0 of {MESSAGES} say copied)" in document_of(of_uring(copied=0)).verdict.sentence
