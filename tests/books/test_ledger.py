"""The ledger from literal tallies."""

from __future__ import annotations

import pytest

from tests.samples import MESSAGES, PAGES, PAYLOAD, changed, copied, looped, recording, tracepoints, workload
from tracer.books.ledger import ledger_of
from tracer.model import LawState, Link, Stage


def states(sample) -> dict[str, LawState]:
    return {law.id: law.state for law in ledger_of(sample).laws}


def test_zerocopy_over_loopback_is_pinned_and_copied_after_all():
    """Every byte pinned by the send call, every byte copied in softirq, every byte copied to the reader."""
    ledger = ledger_of(looped())

    assert ledger.bytes_of(Stage.COPY_IN) == 0
    assert ledger.bytes_of(Stage.PIN) == PAYLOAD
    assert ledger.bytes_of(Stage.DEFERRED_COPY) == PAYLOAD
    assert ledger.bytes_of(Stage.COPY_OUT) == PAYLOAD
    assert ledger.entry(Stage.PIN).pages == PAGES
    assert (ledger.copies_per_byte.send, ledger.copies_per_byte.receive) == (1.0, 1.0)
    assert ledger.trustworthy


def test_a_copying_mode_copies_once_into_the_kernel():
    """copy_from_user is the only copy on the send side of loopback: no second kernel copy."""
    ledger = ledger_of(copied())

    assert ledger.bytes_of(Stage.COPY_IN) == PAYLOAD
    assert ledger.bytes_of(Stage.PIN) == ledger.bytes_of(Stage.DEFERRED_COPY) == ledger.bytes_of(Stage.LINEARIZE) == 0
    assert ledger.copies_per_byte.send == 1.0


def test_packing_is_a_copy_in_user_space_not_in_the_kernel():
    """two-copy's memcpy is in the ledger, and not in the kernel's copies per byte."""
    ledger = ledger_of(copied("twocopy"))

    assert ledger.bytes_of(Stage.PACK) == PAYLOAD
    assert ledger.copies_per_byte.send == 1.0


def test_retransmitted_bytes_are_copied_again_but_pinned_once():
    """A retransmission passes the driver and the deferred copy again; the send call took the bytes only once."""
    ledger = ledger_of(looped(retransmitted=777))

    assert ledger.bytes_of(Stage.PIN) == PAYLOAD
    assert ledger.bytes_of(Stage.DEFERRED_COPY) == PAYLOAD + 777
    assert ledger.retransmitted_bytes == 777
    assert ledger.trustworthy


@pytest.mark.parametrize("stage", [Stage.COPY_IN, Stage.PIN])
def test_mixed_skbs_make_both_ways_in_unknown(stage):
    """An skb with copied and pinned payload does not say how many bytes of each: unknown, not zero, not all."""
    observation = tracepoints(
        cgroup_egress__mixed=(9, PAYLOAD, 30),
        cgroup_ingress__copied=(9, PAYLOAD),
        skb_copy_datagram_iovec__copied=(11, PAYLOAD),
    )
    ledger = ledger_of(recording(observation))

    assert ledger.bytes_of(stage) is None
    assert ledger.mixed_bytes == PAYLOAD
    assert ledger.bytes_of(Stage.DEFERRED_COPY) == PAYLOAD
    assert ledger.copies_per_byte.send is None


def test_linear_packets_hide_where_their_bytes_came_from():
    """The driver gets linear skbs: linearized for certain, but whether copied in or pinned is unknown."""
    observation = tracepoints(cgroup_egress__linear=(160, PAYLOAD), net_dev_start_xmit__linear=(160, PAYLOAD))
    ledger = ledger_of(recording(observation, link=Link.NIC, observed=workload(received_bytes=None)))

    assert ledger.bytes_of(Stage.LINEARIZE) == PAYLOAD
    assert ledger.bytes_of(Stage.COPY_IN) is None
    assert ledger.bytes_of(Stage.PIN) is None


def test_segments_made_linear_on_the_way_to_the_driver_were_pinned_before():
    """Without scatter-gather IP still sees fragments; the driver gets linear packets: pinned, then linearized."""
    observation = tracepoints(cgroup_egress__zerocopy=(9, PAYLOAD, PAGES), net_dev_start_xmit__linear=(160, PAYLOAD))
    ledger = ledger_of(recording(observation, link=Link.NIC, observed=workload(copied=3, received_bytes=None)))

    assert ledger.bytes_of(Stage.PIN) == ledger.bytes_of(Stage.LINEARIZE) == PAYLOAD


def test_retransmissions_in_a_stream_of_both_kinds_hide_which_kind_they_were():
    """Copied and zero-copy skbs on one connection: how many bytes of each were sent twice is not known."""
    half = PAYLOAD // 2
    counted = {
        "cgroup_egress__zerocopy": (5, half, 40),
        "cgroup_egress__copied": (5, PAYLOAD - half + 777),
        "cgroup_ingress__copied": (10, PAYLOAD + 777),
        "skb_copy_datagram_iovec__copied": (11, PAYLOAD),
    }
    observed = workload(copied=5, retransmitted_bytes=777, bytes_sent=PAYLOAD + 777)
    ledger = ledger_of(recording(tracepoints(**counted), observed=observed))

    assert ledger.bytes_of(Stage.PIN) is None
    assert ledger.trustworthy


def test_on_a_nic_tracepoints_see_neither_deferred_copy_nor_bounce():
    """What happens below the driver is unknown to tracepoints, so the copies per byte are unknown too."""
    observation = tracepoints(cgroup_egress__zerocopy=(9, PAYLOAD, PAGES))
    ledger = ledger_of(recording(observation, link=Link.NIC, observed=workload(copied=0, received_bytes=None)))

    assert ledger.bytes_of(Stage.BOUNCE) is None
    assert ledger.bytes_of(Stage.DEFERRED_COPY) is None
    assert ledger.copies_per_byte.send is None


def test_a_missing_probe_point_makes_its_stage_unknown():
    """A stage nobody watched is unknown; it is never reported as zero."""
    sample = looped()
    tallies = {name: tally for name, tally in sample.observations[0].tallies.items() if "ingress" not in name}
    observation = tracepoints()
    observation = type(observation)(observer="tracepoints", tallies=tallies, lost=0)
    ledger = ledger_of(changed(sample, observations=[observation]))

    assert ledger.bytes_of(Stage.DEFERRED_COPY) is None
    assert {law.id: law.state for law in ledger.laws}["T.L3"] is LawState.UNKNOWN


def test_all_laws_hold_on_a_run_without_loss():
    """The observer's, and the engine's own, both sides equal."""
    assert set(states(looped()).values()) == {LawState.HOLDS}
    assert set(states(looped())) == {"T.L2", "T.L2a", "T.L3", "T.L6", "T.L8", "L7", "E1"}


@pytest.mark.parametrize(
    ("fields", "law"),
    [
        ({"bytes_sent": PAYLOAD + 1}, "T.L2"),
        ({"payload_bytes": PAYLOAD + 1}, "T.L2a"),
        ({"payload_bytes": PAYLOAD + 1}, "T.L6"),
        ({"received_bytes": PAYLOAD - 1}, "E1"),
        ({"sends": 24}, "L7"),
    ],
)
def test_one_byte_too_many_breaks_a_law(fields, law):
    """The books are checked to the byte: one is enough to make the run untrustworthy."""
    sample = changed(looped(), observed=workload(**fields))

    assert states(sample)[law] is LawState.BROKEN
    assert not ledger_of(sample).trustworthy


def test_a_packet_that_never_arrived_breaks_a_law():
    """Lost between IP and the receiver's TCP: what became of its bytes is not known, so the run cannot be trusted."""
    observation = tracepoints(
        cgroup_egress__zerocopy=(9, PAYLOAD, PAGES),
        cgroup_ingress__copied=(8, PAYLOAD - 10007),
        skb_copy_datagram_iovec__copied=(10, PAYLOAD),
    )

    assert states(recording(observation))["T.L3"] is LawState.BROKEN


def test_a_kernel_that_let_the_reader_hold_pinned_pages_would_be_seen():
    """Were skbs still zero-copy when they enter the receiver's TCP, there was no deferred copy."""
    observation = tracepoints(
        cgroup_egress__zerocopy=(9, PAYLOAD, PAGES),
        cgroup_ingress__zerocopy=(9, PAYLOAD),
        skb_copy_datagram_iovec__zerocopy=(10, PAYLOAD),
    )

    assert ledger_of(recording(observation)).bytes_of(Stage.DEFERRED_COPY) == 0


def test_a_lost_event_makes_the_run_untrustworthy():
    """A probe run that the kernel skipped may hide bytes, even where all laws hold."""
    sample = looped()
    lost = tracepoints(lost=3)
    lost = type(lost)(observer="tracepoints", tallies=sample.observations[0].tallies, lost=3)
    ledger = ledger_of(changed(sample, observations=[lost]))

    assert not ledger.trustworthy
    assert "lost 3 events" in ledger.doubts[0]


def test_an_interrupted_run_without_observed_pass_has_no_entries():
    """Nothing observed: no entry, and not a row of zeros."""
    ledger = ledger_of(changed(looped(), observed=None, observations=[], complete=False))

    assert ledger.entries == []
    assert not ledger.trustworthy


@pytest.mark.parametrize("mixes", [False, True])
@pytest.mark.parametrize(("lacking", "state"), [(0, LawState.HOLDS), (1, LawState.BROKEN)])
def test_completions_speak_of_the_calls_that_asked_for_zero_copy_alone(mixes, lacking, state):
    """zerocopy-more: a copied header has no completion, whether it left in packets of its own or in those of pages."""
    header, body = 23 * 1251, PAYLOAD - 23 * 1251 - lacking
    left = (
        {"cgroup_egress__mixed": (9, PAYLOAD - 1251, PAGES), "cgroup_egress__copied": (1, 1251)}
        if mixes
        else {"cgroup_egress__copied": (23, header + lacking), "cgroup_egress__zerocopy": (23, body, PAGES)}
    )
    arrived = {"cgroup_ingress__copied": (32, PAYLOAD), "skb_copy_datagram_iovec__copied": (32, PAYLOAD)}
    asked = PAYLOAD - 1251 + lacking if mixes else PAYLOAD - header
    sample = recording(tracepoints(**left, **arrived), observed=workload(asked_bytes=asked, asked_sends=MESSAGES))

    assert states(sample)["T.L8"] is state
