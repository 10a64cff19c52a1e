"""The steps that a recording's bytes took: the ledger's counts, none of its own; what nobody saw is not zero."""

from __future__ import annotations

import pytest

from tests.entry_samples import over_peer, tapped_lo, tapped_nic, with_drops
from tests.function_samples import PULLED, on_nic
from tests.function_samples import looped as seen_by_functions
from tests.samples import PAYLOAD, changed, copied, looped
from tests.socket_samples import reader, recording, sender
from tracer.books.analysis import document_of
from tracer.books.walk import Walk, copied_bytes, unobserved, unwalked, walk_of, walk_of_sockets
from tracer.model import Cause, Document
from tracer.model.socket_recording import SocketRecording
from tracer.model.sockets import Completions, DeferredCopy, Packets, Totals, Transfer


def taken(walk: Walk) -> list[str]:
    return [walked.step.word for walked in walk.steps if walked.taken]


def unseen(walk: Walk) -> list[str]:
    return [walked.step.word for walked in walk.steps if walked.taken is None]


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (document_of(copied("onecopy")), ["send", "copy-in", "transmit", "loop", "queue", "copy-out"]),
        (document_of(copied("twocopy")), ["pack", "send", "copy-in", "transmit", "loop", "queue", "copy-out"]),
        (
            document_of(looped()),
            ["send", "pin", "transmit", "loop", "deferred-copy", "queue", "copy-out", "completion"],
        ),
        (document_of(on_nic()), ["send", "pin", "transmit", "dma", "queue", "completion"]),
        (
            document_of(on_nic(scatter_gather=False)),
            ["send", "pin", "transmit", "linearize", "dma", "queue", "completion"],
        ),
        (
            tapped_lo(),
            ["send", "pin", "transmit", "tap", "loop", "deferred-copy", "queue", "copy-out", "completion"],
        ),
        (tapped_nic(), ["send", "pin", "transmit", "tap", "dma", "queue", "completion"]),
        (
            with_drops(),
            ["send", "pin", "transmit", "dropped", "loop", "deferred-copy", "queue", "copy-out", "completion"],
        ),
    ],
    ids=["onecopy", "twocopy", "zerocopy", "nic", "no-sg", "tap", "tap-nic", "drops"],
)  # fmt: skip
def test_the_steps_are_those_of_the_ledger(document: Document, words: list[str]) -> None:
    """In the order of the way."""
    assert taken(walk_of(document)) == words


@pytest.mark.parametrize(
    "document",
    [document_of(looped()), document_of(copied()), document_of(seen_by_functions()), tapped_lo()],
    ids=["zerocopy", "onecopy", "functions", "tap"],
)
def test_copies_are_as_many_as_the_ledger_says(document: Document) -> None:
    """One logic: bytes of the steps that copy are the ledger's copies per byte, of both sides."""
    sides = document.ledger.copies_per_byte

    assert sides.send is not None
    assert sides.receive is not None
    assert copied_bytes(walk_of(document)) / PAYLOAD == pytest.approx(sides.send + sides.receive)


def test_completions_are_set_against_what_was_counted() -> None:
    """Without scatter-gather they deny a copy; where none was made, or they own up to it, they are right."""
    told = [
        walk_of(document_of(sample)).taken("completion").more
        for sample in (on_nic(scatter_gather=False), on_nic(), looped())
    ]

    assert told == [
        "0 of 23 say 'copied', and that is wrong: every byte was copied on its way to the device",
        "0 of 23 say 'copied'",
        "23 of 23 say 'copied'",
    ]


def test_what_a_driver_pulls_in_is_told_at_the_step_that_was_not_taken() -> None:
    """No packet was made linear, and a few bytes of each were copied beside its headers all the same."""
    walked = walk_of(document_of(on_nic())).taken("linearize")

    assert (walked.bytes, walked.taken) == (0, False)
    assert walked.more == f"apart: {PULLED} B that the driver pulled in beside the packets' headers"


def test_what_is_sent_again_is_told() -> None:
    """Of what left, not of what was handed over."""
    walk = walk_of(document_of(looped(retransmitted=1448)))

    assert walk.taken("send").bytes == PAYLOAD
    assert walk.taken("transmit").bytes == PAYLOAD + 1448
    assert walk.taken("transmit").more == "1,448 B of them sent again"


def test_a_cause_goes_with_its_copy() -> None:
    """Each with its own; the tap's is no step of the way."""
    walk = walk_of(tapped_lo())

    assert walk.taken("tap").causes == (Cause.PACKET_TAP,)
    assert walk.taken("deferred-copy").causes == (Cause.LOCAL_DELIVERY,)
    assert walk.taken("copy-out").causes == ()


def test_what_the_packets_state_tells_is_called_inferred() -> None:
    """And what a function probe saw is not."""
    assert walk_of(document_of(looped())).taken("deferred-copy").seen_by == "cgroup:ingress, inferred"
    assert "inferred" not in walk_of(document_of(seen_by_functions())).taken("pin").seen_by


def test_what_nobody_observed_is_no_zero() -> None:
    """Over a peer's NIC without function probes: what is below IP, and the other machine."""
    walk = walk_of(document_of(over_peer("ethernet")))

    assert {"bounce", "deferred-copy", "tap", "copy-out"} <= set(unseen(walk))
    assert [step.word for step in unobserved(walk)] == ["tap", "bounce", "deferred-copy", "copy-out"]


def test_an_interrupted_run_has_no_counts() -> None:
    """Nothing was observed: no step is said to be taken, and none not to be."""
    walk = walk_of(document_of(changed(looped(), observed=None, observations=[], complete=False)))

    assert unseen(walk) == [walked.step.word for walked in walk.steps]


def test_drops_that_nobody_looked_for_are_not_none() -> None:
    """A recording without the tracepoint of drops."""
    sample = looped()
    blind = [changed(observation, attached={}) for observation in sample.observations]

    assert walk_of(document_of(changed(sample, observations=blind))).taken("dropped").bytes is None
    assert walk_of(document_of(sample)).taken("dropped").bytes == 0


def test_the_way_of_no_run_is_all_steps() -> None:
    """With nothing said to be taken."""
    assert unseen(unwalked()) == [walked.step.word for walked in walk_of(document_of(looped())).steps]


def of_a_program(*ways: str, **totals: object) -> SocketRecording:
    sent = {way: Transfer(calls=3, bytes=10007) for way in ways}
    fields: dict[str, object] = {
        "sent": sent, "read": {"copy": Transfer(calls=1, bytes=10007)}, "dropped_bytes": 0,
        "left": Packets(copied=10007, packets=1, fragments=1), "came": Packets(copied=10007, packets=1, fragments=1),
    }  # fmt: skip
    ends = (sender(sent=sent, link="lo", dropped_in_bytes=0), reader(link="lo", dropped_in_bytes=0))
    return recording(*ends, totals=Totals(**{**fields, **totals}))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("way", "step"),
    [
        ("copy", "copy-in"), ("zerocopy_ignored", "copy-in"), ("splice", "splice-in"), ("zerocopy", "pin"),
        ("uring_zerocopy", "pin"),
    ],
)  # fmt: skip
def test_a_way_leads_to_its_step(way: str, step: str) -> None:
    """Of those at the send call, that one alone; as the table of ways says."""
    walk = walk_of_sockets(of_a_program(way))

    assert [word for word in taken(walk) if word in ("copy-in", "pin", "splice-in")] == [step]
    assert walk.taken("send").more == "3 calls"


def test_a_way_that_could_not_be_told_hides_a_copy() -> None:
    """How much was copied by the send call is unknown then."""
    assert walk_of_sockets(of_a_program("unknown")).taken("copy-in").bytes is None


def test_reads_by_splice_are_no_sends_by_splice() -> None:
    """Both are spliced, at two places."""
    walk = walk_of_sockets(of_a_program("copy", read={"splice": Transfer(calls=1, bytes=10007)}))

    assert walk.taken("splice-out").bytes == 10007
    assert walk.taken("splice-in").bytes == 0


def test_functions_tell_a_taps_copy_from_the_deferred_one() -> None:
    """By who asked for it."""
    copies = [
        DeferredCopy(caller="dev_queue_xmit_nit", events=1, bytes=7),
        DeferredCopy(caller="__netif_receive_skb_core.constprop.0", events=1, bytes=10007),
    ]
    walk = walk_of_sockets(of_a_program("zerocopy", deferred=copies, completions=Completions(total=3, copied=2)))

    assert walk.taken("tap").bytes == 7
    assert walk.taken("deferred-copy").bytes == 10007
    assert walk.taken("completion").more == "2 of 3 say 'copied'"


def test_over_loopback_no_device_copies() -> None:
    """It has no DMA; where anything left over another device, nobody watched that."""
    looped_only = walk_of_sockets(of_a_program("copy"))
    elsewhere = walk_of_sockets(recording(sender(link="eth0"), totals=of_a_program("copy").totals))

    assert [looped_only.taken(word).bytes for word in ("loop", "linearize", "bounce", "dma")] == [10007, 0, 0, 0]
    assert [elsewhere.taken(word).bytes for word in ("loop", "linearize", "bounce", "dma")] == [None] * 4


def test_what_was_read_is_told_among_the_bytes_that_were_read() -> None:
    """A client asks in few bytes for many: both ends copy each of theirs once."""
    moved = {"sent": {"copy": Transfer(calls=1, bytes=87)}, "read": {"copy": Transfer(calls=1, bytes=13_921)}}
    totals = Totals(**moved, copied_out_bytes=13_921)
    walk = walk_of_sockets(recording(reader(**moved), totals=totals))

    assert walk.bytes_of(walk.taken("copy-out").step) == 13_921
    assert walk.bytes_of(walk.taken("copy-in").step) == 87
    assert walk.copies() == [("sent", 1), ("read", 1)]


def test_a_program_that_only_reads_has_a_way_too() -> None:
    """It sent nothing: no share of that is told."""
    read = {"copy": Transfer(calls=1, bytes=10_007)}
    walk = walk_of_sockets(recording(reader(read=read), totals=Totals(read=read, copied_out_bytes=10_007)))

    assert walk.is_of_a_run
    assert walk.copies() == [("read", 1)]
