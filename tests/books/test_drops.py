"""Bytes that this machine dropped are a place, and break no law."""

from __future__ import annotations

from tests.function_samples import PAYLOAD, changed_observation, looped, with_counted
from tests.samples import changed, recording, tracepoints, workload
from tracer.books.drops import Place, drop_name, dropped_by_sender
from tracer.books.function_entries import cause_of_caller
from tracer.books.ledger import ledger_of
from tracer.books.tracepoint_entries import copy_for_taps
from tracer.model import Cause, LawState, Link, Observation, Recording, Stage, Tally

DROPPED = 6007


def dropping(observation: Observation, place: Place = Place.SENT, **reasons: int) -> Observation:
    """The observation with drops at a place, on the sending side unless told otherwise."""
    tallies = {drop_name(reason, place): Tally(events=2, bytes=size) for reason, size in reasons.items()}
    attached = {**observation.attached, "kfree_skb": "tracepoint"}
    return changed_observation(observation, tallies={**observation.tallies, **tallies}, attached=attached)


def dropped_by_qdisc(told: bool) -> Recording:
    """6007 B were dropped behind IP and sent again: by TCP's own retransmission, or as if for the first time."""
    observation = tracepoints(
        cgroup_egress__zerocopy=(10, PAYLOAD + DROPPED, 92),
        cgroup_ingress__copied=(9, PAYLOAD),
        skb_copy_datagram_iovec__copied=(11, PAYLOAD),
    )
    observed = workload(retransmitted_bytes=0 if told else DROPPED, bytes_sent=PAYLOAD + DROPPED)
    return recording(dropping(observation, QDISC_DROP=DROPPED), observed=observed)


def states(sample: Recording) -> dict[str, LawState]:
    return {law.id: law.state for law in ledger_of(sample).laws}


def test_a_local_drop_breaks_no_law_whether_tcp_was_told_of_it_or_not() -> None:
    """netem's loss looks to TCP like the network's; a full queue tells it, and then nothing is a retransmission."""
    for told in (True, False):
        assert LawState.BROKEN not in states(dropped_by_qdisc(told)).values()
        assert ledger_of(dropped_by_qdisc(told)).trustworthy


def test_what_was_dropped_is_an_entry_with_its_place_and_reason() -> None:
    """Not a note on another row."""
    (entry,) = [one for one in ledger_of(dropped_by_qdisc(told=True)).entries if one.stage is Stage.DROPPED]

    assert (entry.bytes, entry.events) == (DROPPED, 2)
    assert entry.function == "a queue discipline (qdisc)"
    assert "QDISC_DROP, on the sending side" in entry.note


def test_bytes_that_were_sent_again_after_a_drop_are_pinned_once() -> None:
    """TCP's retransmissions are 0; the rest of what it handed down is known all the same."""
    ledger = ledger_of(dropped_by_qdisc(told=True))

    assert ledger.bytes_of(Stage.PIN) == PAYLOAD
    assert ledger.bytes_of(Stage.DEFERRED_COPY) == PAYLOAD


def test_a_drop_that_nobody_saw_breaks_the_law_and_says_which_side_has_more() -> None:
    """As many bytes as are missing, and what could explain it; not a quieter machine."""
    sample = dropped_by_qdisc(told=True)
    unseen = changed(sample, observations=[dropping(sample.observations[0], QDISC_DROP=DROPPED - 7)])
    (law,) = [one for one in ledger_of(unseen).laws if one.state is LawState.BROKEN]

    assert law.id == "T.L3"
    assert "the right side has 7 B more" in ledger_of(unseen).doubts[0]
    assert "dropped" in law.explanation
    assert "lost events" not in law.explanation


def test_without_the_tracepoint_nothing_is_known_of_drops() -> None:
    """Absent is not zero."""
    assert dropped_by_sender(changed_observation(tracepoints(), attached={})) is None
    assert dropped_by_sender(dropping(tracepoints())) == 0


def test_a_tap_on_a_looping_link_is_a_second_copy_with_its_own_cause() -> None:
    """One copy for the tap before the driver, one for the receiver; the law on the receiver's holds."""
    sample = with_counted(looped(), "skb_copy_ubufs:return", 2 * PAYLOAD)
    first = sample.observations[0]
    callers = {
        "skb_copy_ubufs:dev_queue_xmit_nit": Tally(events=29, bytes=PAYLOAD),
        "skb_copy_ubufs:__netif_receive_skb_core.constprop.0": Tally(events=29, bytes=PAYLOAD),
    }
    tapped = changed(sample, observations=[changed_observation(first, tallies={**first.tallies, **callers})])
    ledger = ledger_of(tapped)
    found = {entry.cause: entry.bytes for entry in ledger.entries if entry.stage is Stage.DEFERRED_COPY}

    assert found == {Cause.PACKET_TAP: PAYLOAD, Cause.LOCAL_DELIVERY: PAYLOAD}
    assert ledger.bytes_of(Stage.DEFERRED_COPY) == 2 * PAYLOAD
    assert states(tapped)["F.L3"] is LawState.HOLDS


def test_a_tap_gets_no_copy_of_what_was_dropped_before_the_device() -> None:
    """Inferred from who taps, and from what went on."""
    left = tracepoints(cgroup_egress__zerocopy=(10, PAYLOAD + DROPPED, 92))
    mixed = tracepoints(cgroup_egress__zerocopy=(9, PAYLOAD, 92), cgroup_egress__copied=(1, DROPPED))

    assert copy_for_taps(dropping(left, QDISC_DROP=DROPPED), ["tcpdump on lo"]).bytes == PAYLOAD
    assert copy_for_taps(dropping(mixed, QDISC_DROP=DROPPED), ["tcpdump on lo"]).bytes is None


def test_a_caller_that_is_not_in_the_table_is_no_cause() -> None:
    """Unknown, not the most usual one."""
    assert cause_of_caller("__some_new_function", Link.LO) is Cause.UNKNOWN
    assert cause_of_caller("tun_net_xmit", Link.NIC) is Cause.TUN
    assert cause_of_caller("ip_local_deliver_finish", Link.LO) is Cause.LOCAL_DELIVERY


def test_what_comes_in_on_a_way_that_leads_elsewhere_seems_to_be_passed_on() -> None:
    """On one that ends here it is delivered; since 6.17 the function that delivers is another one."""
    assert cause_of_caller("__netif_receive_skb_core.constprop.0", Link.NIC) is Cause.FORWARDING
    assert cause_of_caller("__netif_receive_skb_core.constprop.0", Link.VETH) is Cause.LOCAL_DELIVERY
    assert cause_of_caller("ip_local_deliver_finish", Link.NIC) is Cause.LOCAL_DELIVERY


def test_an_incoming_tap_costs_nothing_where_a_local_socket_s_copy_serves_it() -> None:
    """Ending the tap would not spare the copy; where no socket of ours receives, it would."""
    assert cause_of_caller("deliver_skb", Link.LO) is Cause.LOCAL_DELIVERY
    assert cause_of_caller("deliver_skb.part.0", Link.VETH) is Cause.LOCAL_DELIVERY
    assert cause_of_caller("deliver_skb", Link.NIC) is Cause.PACKET_TAP


def test_completions_that_all_say_copied_bound_what_was_copied() -> None:
    """An independent side: 4 MB of copies that no probe saw once left every law in peace."""
    sample = with_counted(looped(), "skb_copy_ubufs:return", PAYLOAD - 1)

    assert states(looped())["F.L8"] is LawState.HOLDS
    assert states(sample)["F.L8"] is LawState.BROKEN


def test_where_nobody_looked_for_drops_missing_bytes_are_no_breach() -> None:
    """A recording of before they were counted: they may be drops; that is unknown, not broken."""
    seen = dropped_by_qdisc(told=False)
    tallies = {name: tally for name, tally in seen.observations[0].tallies.items() if not name.startswith("kfree_skb")}
    blind = changed(seen, observations=[changed_observation(seen.observations[0], tallies=tallies, attached={})])

    assert states(seen)["T.L3"] is LawState.HOLDS
    assert states(blind)["T.L3"] is LawState.UNKNOWN


def test_a_compilers_suffix_does_not_hide_a_tap() -> None:
    """The same function, cut in two by the compiler."""
    sample = with_counted(looped(), "skb_copy_ubufs:return", 2 * PAYLOAD)
    first = sample.observations[0]
    callers = {
        "skb_copy_ubufs:dev_queue_xmit_nit.part.0": Tally(events=29, bytes=PAYLOAD),
        "skb_copy_ubufs:ip_local_deliver_finish": Tally(events=29, bytes=PAYLOAD),
    }
    tapped = changed(sample, observations=[changed_observation(first, tallies={**first.tallies, **callers})])

    assert states(tapped)["F.L3"] is LawState.HOLDS


def test_what_could_explain_a_breach_fits_the_law() -> None:
    """No packet that was dropped changes what a send call returned."""
    sample = with_counted(looped(), "tcp_sendmsg_locked:return", PAYLOAD - 1)
    (law,) = [one for one in ledger_of(sample).laws if one.id == "F.L1"]

    assert law.state is LawState.BROKEN
    assert law.explanation == ""
