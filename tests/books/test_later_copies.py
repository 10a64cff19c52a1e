"""Why a copy was made after the send call: from who asked for it, and what the device lacks."""

from __future__ import annotations

import msgspec
import pytest

from tests.function_samples import changed_observation, looped, on_nic, with_counted
from tests.samples import PAYLOAD, changed, host
from tests.samples import looped as seen_by_tracepoints
from tracer.books.function_entries import cause_of_caller, copied_in_bytes
from tracer.books.function_rows import Row, caller_tally
from tracer.books.ledger import ledger_of
from tracer.model import Cause, Entry, LawState, Link, Recording, Stack, Stage, Tally


def with_callers(sample: Recording, **bytes_by_symbol: int) -> Recording:
    """The recording with its deferred copies asked for by these functions."""
    first, *others = sample.observations
    tallies = {name: tally for name, tally in first.tallies.items() if ":caller:" not in name}
    for symbol, size in bytes_by_symbol.items():
        tallies[caller_tally(symbol)] = Tally(events=29, bytes=size)
    tallies[Row.COPY_UBUFS] = Tally(events=58, bytes=sum(bytes_by_symbol.values()))
    return changed(sample, observations=[changed_observation(first, tallies=tallies), *others])


def entries(sample: Recording, stage: Stage) -> dict[Cause | None, Entry]:
    return {entry.cause: entry for entry in ledger_of(sample).entries if entry.stage is stage}


def states(sample: Recording) -> dict[str, LawState]:
    return {law.id: law.state for law in ledger_of(sample).laws}


@pytest.mark.parametrize(
    ("symbol", "link", "cause"),
    [
        ("__netif_receive_skb_core", Link.LO, Cause.LOCAL_DELIVERY),
        ("ip_local_deliver_finish", Link.VETH, Cause.LOCAL_DELIVERY),
        ("ip6_input_finish", Link.LO, Cause.LOCAL_DELIVERY),
        ("deliver_skb", Link.LO, Cause.LOCAL_DELIVERY),
        ("deliver_skb", Link.NIC, Cause.PACKET_TAP),
        ("dev_queue_xmit_nit", Link.NIC, Cause.PACKET_TAP),
        ("tun_net_xmit", Link.NIC, Cause.TUN),
        ("some_module_s_function", Link.LO, Cause.UNKNOWN),
        ("unknown", Link.LO, Cause.UNKNOWN),
    ],
)
def test_the_caller_tells_the_cause(symbol, link, cause):
    """And one that is not in the table tells nothing: unknown, not the usual."""
    assert cause_of_caller(symbol, link) is cause


def test_a_tap_on_loopback_is_a_second_copy_and_the_law_of_delivery_holds():
    """One copy for the tap, one for the receiver, a row each."""
    sample = with_callers(looped(), dev_queue_xmit_nit=PAYLOAD, __netif_receive_skb_core=PAYLOAD)
    found = entries(sample, Stage.DEFERRED_COPY)

    assert {cause: entry.bytes for cause, entry in found.items()} == {
        Cause.PACKET_TAP: PAYLOAD, Cause.LOCAL_DELIVERY: PAYLOAD,
    }  # fmt: skip
    assert set(states(sample).values()) == {LawState.HOLDS}


def test_taps_do_not_make_up_for_a_delivery_that_was_missed():
    """Counted apart: a byte less on delivery breaks the law, however much a tap got."""
    sample = with_callers(looped(), dev_queue_xmit_nit=PAYLOAD, __netif_receive_skb_core=PAYLOAD - 1)

    assert states(sample)["F.L3"] is LawState.BROKEN


def test_each_cause_shows_its_own_stacks():
    """By the innermost caller, as the other may lie below; a compiler's suffix is none of its name."""
    frames = ["skb_copy_ubufs", "dev_queue_xmit_nit", "dev_hard_start_xmit", "__netif_receive_skb_core"]
    tap = Stack(frames=frames, events=1, bytes=7)
    delivery = Stack(frames=["skb_copy_ubufs", "__netif_receive_skb_core.constprop.0"], events=1, bytes=9)
    sample = with_callers(looped(), dev_queue_xmit_nit=PAYLOAD, __netif_receive_skb_core=PAYLOAD)
    seen = changed_observation(sample.observations[0], stacks={Row.COPY_UBUFS: [tap, delivery]})
    found = entries(changed(sample, observations=[seen]), Stage.DEFERRED_COPY)

    assert found[Cause.PACKET_TAP].stacks == [tap]
    assert found[Cause.LOCAL_DELIVERY].stacks == [delivery]


def test_tracepoints_say_that_a_tap_s_copy_is_there_and_that_they_cannot_count_it():
    """Who taps is on record; how much was copied for him is unknown, not zero."""
    tapped = changed(seen_by_tracepoints(), host=host(packet_taps=["tcpdump (pid 4711) on lo"]))
    entry = entries(tapped, Stage.DEFERRED_COPY)[Cause.PACKET_TAP]

    assert entry.bytes is None
    assert "tcpdump (pid 4711) on lo" in entry.note
    assert entries(tapped, Stage.DEFERRED_COPY)[Cause.LOCAL_DELIVERY].bytes == PAYLOAD


@pytest.mark.parametrize("taps", [[], None])
def test_without_a_tap_there_is_no_row_for_one(taps):
    """Nobody taps, or nobody could look."""
    sample = changed(seen_by_tracepoints(), host=host(packet_taps=taps))

    assert Cause.PACKET_TAP not in entries(sample, Stage.DEFERRED_COPY)


def test_a_checksum_that_the_device_cannot_make_is_the_cause_though_scatter_gather_is_on():
    """skb_checksum_help() linearizes what its owner may change meanwhile."""
    sample = on_nic()
    for row in (Row.LINEARIZE_CHECKSUM, Row.XMIT_LINEAR):
        sample = with_counted(sample, row, PAYLOAD)
    sample = with_counted(sample, Row.COPY_BITS, PAYLOAD + 116)
    found = entries(sample, Stage.LINEARIZE)

    assert (found[Cause.CHECKSUM].bytes, found[Cause.CHECKSUM].function) == (PAYLOAD, "skb_checksum_help")
    assert set(states(sample).values()) == {LawState.HOLDS}


def test_linear_packets_of_a_device_without_scatter_gather_have_that_cause():
    """The device's own flag is the evidence; with it on, the cause of the same copy is unknown."""
    without = on_nic(scatter_gather=False, copied=5)
    nic = msgspec.structs.replace(without.host.nic, scatter_gather=True)
    doubtful = changed(without, host=msgspec.structs.replace(without.host, nic=nic))

    assert set(entries(without, Stage.LINEARIZE)) == {Cause.NO_SCATTER_GATHER}
    assert set(entries(doubtful, Stage.LINEARIZE)) == {Cause.UNKNOWN}


def test_copies_that_no_probe_point_saw_are_noticed_at_the_driver():
    """The driver's packets are linear, so somebody copied: a law whose other side sees no copy run."""
    sample = with_counted(on_nic(), Row.XMIT_LINEAR, PAYLOAD)

    assert states(sample)["F.L4b"] is LawState.BROKEN
    assert states(sample)["F.L4"] is LawState.HOLDS


def test_a_completion_that_says_copied_needs_a_copy_behind_it():
    """Two ranges were flagged and nothing was seen to be copied."""
    sample = with_counted(on_nic(), Row.COMPLETION_COPIED, 0)

    assert states(on_nic())["F.L8"] is LawState.HOLDS
    assert states(sample)["F.L8"] is LawState.BROKEN


def test_a_bounce_has_its_cause():
    """And where nothing bounced there is none."""
    assert entries(on_nic(bounce=True), Stage.BOUNCE)[Cause.BOUNCE_BUFFER].bytes == PAYLOAD
    assert set(entries(on_nic(), Stage.BOUNCE)) == {None}


@pytest.mark.parametrize(
    ("row", "missing", "copied"), [(Row.SPLICE_FROM_ITER, "do_tcp_sendpages", PAYLOAD - 10007),
                                   (Row.SENDPAGES, "skb_splice_from_iter", PAYLOAD)],
)  # fmt: skip
def test_spliced_pages_are_read_from_the_function_that_the_kernel_has(row, missing, copied):
    """Since 6.5 they come through sendmsg and are taken off what it returned; before, they went past it."""
    sample = with_counted(looped("onecopy"), row, 10007)
    first = sample.observations[0]
    gone = {found.value for found in Row if missing in found.needs}
    tallies = {name: tally for name, tally in first.tallies.items() if name not in gone}
    sample = changed(sample, observations=[changed_observation(first, tallies=tallies)])
    (entry,) = entries(sample, Stage.SPLICE).values()

    assert (entry.function, entry.bytes) == (row.needs[0], 10007)
    assert copied_in_bytes(sample.observations[0]) == copied
