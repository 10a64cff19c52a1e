"""What the function observer's tallies mean: every row of the table of ways, from literal numbers."""

from __future__ import annotations

import io

import msgspec
import pytest

from tests.function_samples import PAYLOAD, PULLED, changed_observation, looped, on_nic, with_counted
from tests.samples import changed
from tests.samples import looped as seen_by_tracepoints
from tracer.books.analysis import document_of
from tracer.books.function_entries import copied_in_bytes
from tracer.books.ledger import ledger_of
from tracer.model import LawState, Link, Recording, Stage
from tracer.reports.tables import make_console
from tracer.reports.terminal import print_document

PIN, COPY_IN, DEFERRED, LINEARIZE, BOUNCE, DMA = (
    Stage.PIN, Stage.COPY_IN, Stage.DEFERRED_COPY, Stage.LINEARIZE, Stage.BOUNCE, Stage.DMA,
)  # fmt: skip


def located(sample: Recording) -> dict[Stage, int | None]:
    ledger = ledger_of(sample)
    return {stage: ledger.bytes_of(stage) for stage in (COPY_IN, PIN, DEFERRED, LINEARIZE, BOUNCE, DMA)}


def states(sample: Recording) -> dict[str, LawState]:
    return {law.id: law.state for law in ledger_of(sample).laws}


@pytest.mark.parametrize("mode", ["twocopy", "onecopy"])
@pytest.mark.parametrize("link", [Link.LO, Link.VETH])
def test_a_copying_mode_copies_once_and_nothing_else(mode, link):
    """One copy into the kernel; no pin, no deferred copy, no linearize, no bounce: there is no second kernel copy."""
    sample = looped(mode, link=link)

    assert located(sample) == {COPY_IN: PAYLOAD, PIN: 0, DEFERRED: 0, LINEARIZE: 0, BOUNCE: 0, DMA: None}
    assert document_of(sample).verdict.code == "copied"


@pytest.mark.parametrize("resent", [0, 1448])
def test_looped_zero_copy_is_copied_after_all_once_for_each_time_sent(resent):
    """Pinned once; the deferred copy runs again for what TCP sends again."""
    sample = looped(resent=resent)

    assert located(sample) == {COPY_IN: 0, PIN: PAYLOAD, DEFERRED: PAYLOAD + resent, LINEARIZE: 0, BOUNCE: 0, DMA: None}
    assert document_of(sample).verdict.code == "copied-by-loopback"
    assert ledger_of(sample).retransmitted_bytes == resent


def test_a_nic_with_scatter_gather_copies_nothing():
    """Pinned, handed to the device; the driver's four bytes a packet are told apart."""
    document = document_of(on_nic())

    assert located(on_nic()) == {COPY_IN: 0, PIN: PAYLOAD, DEFERRED: 0, LINEARIZE: 0, BOUNCE: 0, DMA: PAYLOAD}
    assert document.verdict.code == "zero-copy"
    assert f"but for {PULLED} B that the driver pulled in" in document.verdict.sentence
    assert document.ledger.copies_per_byte.send == 0
    stream = io.StringIO()
    print_document(document, make_console(stream))
    row, figure = (stream.getvalue().split(name)[1] for name in ("__pskb_pull_tail", "kernel copies per payload byte"))
    assert f"of whole packets; {PULLED} B by" in " ".join(row.split("\n")[1].split())
    assert f"send 0 (and {PULLED} B by the driver)" in figure


@pytest.mark.parametrize("mode", ["twocopy", "onecopy", "zerocopy"])
def test_without_scatter_gather_every_byte_is_copied_again(mode):
    """Segmented and linearized together are the whole payload; no byte is counted twice."""
    sample = on_nic(mode, scatter_gather=False, copied=5)

    assert located(sample)[LINEARIZE] == located(sample)[DMA] == PAYLOAD
    assert located(sample)[BOUNCE] == 0
    assert document_of(sample).verdict.code == "copied-without-sg"


def test_the_wrong_completions_are_counted():
    """18 of 23 notifications say that nothing was copied, although everything was."""
    sentence = document_of(on_nic(scatter_gather=False, copied=5)).verdict.sentence

    assert "flag is wrong: 18 of 23 notifications" in sentence


@pytest.mark.parametrize("mode", ["twocopy", "onecopy", "zerocopy"])
def test_a_bounce_buffer_is_a_second_copy(mode):
    """Payload without headers; what bounced was not handed over in place."""
    sample = on_nic(mode, bounce=True)

    assert located(sample)[BOUNCE] == PAYLOAD
    assert located(sample)[DMA] == 0
    assert document_of(sample).verdict.code == "bounced"


@pytest.mark.parametrize(
    "sample",
    [looped(), looped("onecopy"), looped(resent=7), on_nic(), on_nic(scatter_gather=False), on_nic(bounce=True)],
)
def test_all_laws_hold_where_every_byte_was_counted(sample):
    """None is broken; unknown is the one alone that rests on completions which all say copied."""
    unknown = {law for law, state in states(sample).items() if state is LawState.UNKNOWN}

    assert LawState.BROKEN not in states(sample).values()
    assert unknown <= {"F.L8"}
    assert ledger_of(sample).trustworthy


@pytest.mark.parametrize(
    ("sample", "row", "law"),
    [
        (looped(), "tcp_sendmsg_locked:return", "F.L1"),
        (looped("onecopy"), "__check_object_size:send", "F.L1a"),
        (looped("onecopy"), "_copy_from_iter:breakpoint", "F.L1b"),
        (looped(), "net_dev_start_xmit:payload", "F.L2"),
        (looped(), "__tcp_transmit_skb:entry", "F.L2a"),
        (looped(), "skb_copy_ubufs:return", "F.L3"),
        (on_nic(scatter_gather=False), "skb_copy_bits:entry", "F.L4"),
        (on_nic(scatter_gather=False), "__pskb_pull_tail:linearize", "F.L4a"),
        (on_nic(), "dma_map_page_attrs:wire", "F.L5"),
        (on_nic(bounce=True), "swiotlb_map:wire", "F.L5a"),
        (looped(), "simple_copy_to_iter:entry", "F.L6"),
        (looped(), "tcp_recvmsg_locked:return", "F.L6a"),
        (looped(), "__check_object_size:receive", "F.L6b"),
        (looped(), "_copy_to_iter:breakpoint", "F.L6c"),
        (looped(), "mm_account_pinned_pages:entry", "F.L7b"),
    ],
)
def test_one_byte_off_breaks_the_law(sample, row, law):
    """Each law guards its count to the byte, and a broken one makes the run untrustworthy."""
    off = with_counted(sample, row, sample.observations[0].tallies[row].bytes + 1)

    assert states(sample)[law] is LawState.HOLDS
    assert states(off)[law] is LawState.BROKEN
    assert document_of(off).verdict.code == "untrustworthy"


@pytest.mark.parametrize(("kind", "state"), [("veth", LawState.UNKNOWN), ("ethernet", LawState.BROKEN)])
def test_a_device_of_this_machine_maps_nothing(kind, state):
    """From a container, --link nic leaves through a veth: that nothing was mapped there is no loss."""
    sample = with_counted(on_nic(), "dma_map_page_attrs:wire", 0)
    nic = msgspec.structs.replace(sample.host.nic, kind=kind)
    sample = msgspec.structs.replace(sample, host=msgspec.structs.replace(sample.host, nic=nic))

    assert states(sample)["F.L5"] is state


@pytest.mark.parametrize(
    ("symbol", "stage"),
    [
        ("skb_copy_ubufs", DEFERRED),
        ("skb_zerocopy_iter_stream", PIN),
        ("skb_zerocopy_iter_stream", COPY_IN),
        ("skb_segment", LINEARIZE),
        ("__pskb_pull_tail", LINEARIZE),
        ("swiotlb_map", BOUNCE),
    ],
)
def test_a_missing_probe_point_makes_its_stage_unknown(symbol, stage):
    """Nobody watched: unknown, not zero; and the entry says why."""
    sample = without(looped(), symbol)

    assert located(sample)[stage] is None
    assert ledger_of(sample).copies_per_byte.send is None


def test_a_missing_probe_point_makes_the_verdict_undecided():
    """Without the deferred copy's probe, pinned bytes prove nothing."""
    assert document_of(without(looped(), "skb_copy_ubufs")).verdict.code == "undecided"


def test_a_law_with_a_missing_side_is_unknown_and_no_doubt():
    """Not observed is not broken."""
    sample = without(looped(), "_copy_to_iter")

    assert states(sample)["F.L6c"] is LawState.UNKNOWN
    assert ledger_of(sample).trustworthy


def test_a_check_that_never_fires_is_switched_off_and_proves_nothing():
    """hardened_usercopy=off: the probe attaches and stays silent; zero bytes checked would break a law."""
    sample = looped("onecopy")
    for row in ("__check_object_size:any", "__check_object_size:send", "__check_object_size:receive"):
        sample = with_counted(sample, row, 0)
        tallies = dict(sample.observations[0].tallies)
        tallies[row] = type(tallies[row])(events=0, bytes=0)
        sample = changed(sample, observations=[changed_observation(sample.observations[0], tallies=tallies)])

    assert {states(sample)[law] for law in ("F.L1a", "F.L6b")} == {LawState.UNKNOWN}
    assert located(sample)[COPY_IN] == PAYLOAD


@pytest.mark.parametrize("lost", [1, 23])
def test_a_missed_probe_or_a_lost_update_makes_the_run_untrustworthy(lost):
    """The kernel skipped a handler, or a map was full: bytes may be missing although all laws hold."""
    sample = looped()
    sample = changed(sample, observations=[changed_observation(sample.observations[0], lost=lost)])

    assert not ledger_of(sample).trustworthy
    assert f"lost {lost} event{'' if lost == 1 else 's'}" in document_of(sample).verdict.sentence


def test_spliced_bytes_are_neither_copied_in_nor_pinned():
    """The pages of a file or pipe: subtracted from what was copied, on kernels with either function."""
    newer = with_counted(looped("onecopy"), "skb_splice_from_iter:return", 10007)

    assert copied_in_bytes(without(newer, "do_tcp_sendpages").observations[0]) == PAYLOAD - 10007


def test_two_observers_must_agree_to_the_byte():
    """Both ledgers of one pass, stage by stage; a byte of difference is a broken law."""
    tracepoints = seen_by_tracepoints().observations[0]
    both = changed(looped(), observations=[*looped().observations, tracepoints])
    off = with_counted(both, "skb_copy_ubufs:return", PAYLOAD + 1)

    assert {states(both)[f"A {stage}"] for stage in (COPY_IN, PIN, DEFERRED)} == {LawState.HOLDS}
    assert states(off)[f"A {DEFERRED}"] is LawState.BROKEN


def test_three_ways_of_counting_copy_from_user_stand_side_by_side():
    """By subtraction, by the check before each copy, at a breakpoint."""
    entry = ledger_of(looped("onecopy")).entry(COPY_IN)

    assert entry.source == "law:L1"
    assert set(entry.witnesses.values()) == {PAYLOAD}
    assert len(entry.witnesses) == 2


def test_wire_bytes_hold_the_headers_and_payload_bytes_do_not():
    """29 packets of 54 bytes of headers each are given to the driver; the ledger's DMA is payload."""
    sample = on_nic("zerocopy")
    handed = next(tally for name, tally in sample.observations[0].tallies.items() if name == "net_dev_start_xmit:wire")

    assert handed.bytes == PAYLOAD + 29 * 54
    assert ledger_of(sample).bytes_of(Stage.DMA) == PAYLOAD


def without(sample: Recording, symbol: str) -> Recording:
    """The recording as it would be on a kernel without the function."""
    from tracer.books.function_rows import Row

    first, *others = sample.observations
    tallies = {name: tally for name, tally in first.tallies.items() if symbol not in Row(name).needs}
    unattached = {**first.unattached, symbol: "no such function"}
    return changed(sample, observations=[changed_observation(first, tallies=tallies, unattached=unattached), *others])
