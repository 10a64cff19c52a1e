"""Packets that a qdisc doubles, copies or takes the socket from, and IP fragments: what the laws make of them."""

from __future__ import annotations

import pytest

from tests.function_samples import changed_observation, functions, looped, received, sent, with_counted
from tests.samples import PAYLOAD, changed, recording, tracepoints, workload
from tracer.books.drops import Place, drop_name
from tracer.books.function_entries import linearized_bytes
from tracer.books.ledger import ledger_of
from tracer.model import Cause, Law, LawState, Observation, Recording, Stage, Tally

DOUBLE = 10007


def dropping(observation: Observation, place: Place, reason: str, size: int) -> Observation:
    tallies = {**observation.tallies, drop_name(reason, place): Tally(events=1, bytes=size)}
    return changed_observation(observation, tallies=tallies)


def by_functions(**counted: int) -> Observation:
    """zerocopy over lo as functions see it, but for some rows, given as symbol__aspect=bytes."""
    sample = looped()
    for name, size in counted.items():
        symbol, _, aspect = name.rpartition("__")
        sample = with_counted(sample, f"{symbol}:{aspect}", size)
    return sample.observations[0]


def by_tracepoints(arrived: int = PAYLOAD, linear: int = 0, doubled: int = 0, at_driver: int = PAYLOAD) -> Observation:
    return tracepoints(
        cgroup_egress__zerocopy=(9, PAYLOAD, 92),
        cgroup_ingress__copied=(9, arrived - linear),
        cgroup_ingress__linear=(1, linear),
        skb_copy_datagram_iovec__copied=(11, PAYLOAD),
        **{f"net_dev_start_xmit__{state}": (0, 0) for state in ("copied", "mixed", "linear")},
        net_dev_start_xmit__zerocopy=(9, at_driver),
        **{f"net_dev_start_xmit:unowned__{state}": (0, 0) for state in ("copied", "mixed", "linear")},
        **{"net_dev_start_xmit:unowned__zerocopy": (1, doubled)},
    )


def doubled(**but: int) -> Observation:
    """One packet was doubled, and copied twice at reception."""
    rows = {"net_dev_start_xmit__unowned": DOUBLE, "net_dev_start_xmit__zerocopy": PAYLOAD + DOUBLE}
    return by_functions(**{**rows, "skb_copy_ubufs__return": PAYLOAD + DOUBLE, **but})


def laws(*observations: Observation) -> dict[str, Law]:
    sample = changed(looped(), observations=list(observations))
    return {law.id: law for law in ledger_of(sample).laws}


def unless_holding(*observations: Observation) -> dict[str, LawState]:
    return {name: law.state for name, law in laws(*observations).items() if law.state is not LawState.HOLDS}


def test_a_doubled_packet_breaks_no_law_and_leaves_none_unknown() -> None:
    """All that TCP sent came to the driver with its socket: what came without is a double, to the byte."""
    assert unless_holding(doubled(), by_tracepoints(PAYLOAD + DOUBLE, doubled=DOUBLE)) == {}


@pytest.mark.parametrize(
    ("observations", "broken"),
    [
        # The driver did not show the double that was copied at reception.
        ([doubled(net_dev_start_xmit__zerocopy=PAYLOAD)], "F.L3"),
        ([by_tracepoints(PAYLOAD + DOUBLE, doubled=DOUBLE - 7)], "T.L3"),
        ([by_tracepoints(PAYLOAD + DOUBLE)], "T.L3"),
        # A double was not copied, or not seen to be.
        ([doubled(skb_copy_ubufs__return=PAYLOAD)], "F.L3"),
        ([by_tracepoints(PAYLOAD, doubled=DOUBLE)], "T.L3"),
        # A packet vanished before the driver, and another was doubled.
        ([by_tracepoints(PAYLOAD - 1, at_driver=PAYLOAD - DOUBLE - 1, doubled=DOUBLE)], "T.L3a"),
        # An original did not come to the driver; no packet without a socket is as large as it.
        ([doubled(net_dev_start_xmit__payload=PAYLOAD - DOUBLE - 1)], "F.L2"),
        ([by_functions(net_dev_start_xmit__payload=PAYLOAD - 1)], "F.L2"),
    ],
)  # fmt: skip
def test_a_packet_that_an_observer_missed_breaks_a_law_with_doubles_about_as_without(observations, broken) -> None:
    """Doubles are counted, not allowed for."""
    assert laws(*observations)[broken].state is LawState.BROKEN


def test_two_observers_that_differ_by_more_than_the_doubles_disagree() -> None:
    """The copy of a double is seen by both."""
    found = laws(doubled(), by_tracepoints(PAYLOAD + DOUBLE - 7, doubled=DOUBLE))

    assert found["A deferred_copy"].state is LawState.BROKEN


def test_a_double_that_may_be_an_original_leaves_the_law_unknown() -> None:
    """A qdisc that also takes sockets away: the sum is right, and proves nothing."""
    found = laws(by_functions(net_dev_start_xmit__payload=PAYLOAD - DOUBLE, net_dev_start_xmit__unowned=2 * DOUBLE))

    assert found["F.L2"].state is LawState.UNKNOWN
    assert "doubled" in found["F.L2"].note


CORRUPTED = {
    "net_dev_start_xmit__payload": PAYLOAD - DOUBLE,
    "net_dev_start_xmit__unowned": DOUBLE,
    "net_dev_start_xmit__zerocopy": PAYLOAD - DOUBLE,
    "net_dev_start_xmit__linear": DOUBLE,
    "skb_copy_bits__whole": DOUBLE,
    "skb_copy_bits__entry": DOUBLE,
    "skb_copy_ubufs__return": PAYLOAD - DOUBLE,
}


def test_a_packet_that_a_qdisc_copied_to_change_it_comes_without_its_socket_and_breaks_no_law() -> None:
    """netem's corruption: skb_unshare(). What lacks a socket is exactly what lacks at the driver."""
    observations = (
        by_functions(**CORRUPTED),
        by_tracepoints(linear=DOUBLE, at_driver=PAYLOAD - DOUBLE, doubled=DOUBLE),
    )

    assert unless_holding(*observations) == {}


def test_the_copy_of_a_changed_packet_is_an_entry_with_its_cause() -> None:
    """It is the sender's second copy, of some of the bytes."""
    ledger = ledger_of(changed(looped(), observations=[by_functions(**CORRUPTED)]))
    (entry,) = [one for one in ledger.entries if one.stage is Stage.LINEARIZE and one.bytes]

    assert (entry.function, entry.bytes, entry.cause) == ("skb_copy", DOUBLE, Cause.CHANGED_PACKET)
    assert ledger.copies_per_byte.send == 1.0


def test_a_copy_that_no_function_showed_is_betrayed_by_the_packet_at_the_driver() -> None:
    """Payload in the linear part was copied there."""
    unseen = {**CORRUPTED, "skb_copy_bits__whole": 0, "skb_copy_bits__entry": 0}

    assert laws(by_functions(**unseen))["F.L4b"].state is LawState.BROKEN
    assert laws(by_functions(net_dev_start_xmit__linear=1))["F.L4b"].state is LawState.BROKEN


def test_one_changed_packet_makes_a_whole_range_say_copied() -> None:
    """On a device that copies nothing else the completions then bound nothing; without that packet they do."""
    changed_one = {**CORRUPTED, "skb_copy_ubufs__return": 0}
    nothing_seen = by_functions(skb_copy_ubufs__return=0)

    assert laws(by_functions(**changed_one))["F.L8"].state is LawState.UNKNOWN
    assert laws(nothing_seen)["F.L8"].state is LawState.BROKEN


FRAGMENTED = {
    "net_dev_start_xmit__zerocopy": 0,
    "net_dev_start_xmit__linear": PAYLOAD,
    "__pskb_pull_tail__checksum": PAYLOAD,
    "skb_copy_bits__fragment": PAYLOAD,
    "skb_copy_bits__again": PAYLOAD,
    "skb_copy_bits__entry": 2 * PAYLOAD,
    "skb_copy_ubufs__return": 0,
}


def test_ip_fragments_are_copied_twice_and_break_no_law() -> None:
    """Once into the linear part, to sum it up, and once more from there into the fragments."""
    observation = by_functions(**FRAGMENTED)
    ledger = ledger_of(changed(looped(), observations=[observation]))

    assert unless_holding(observation, by_tracepoints(linear=PAYLOAD, at_driver=0)) == {}
    assert linearized_bytes(observation) == PAYLOAD
    assert ledger.bytes_of(Stage.LINEARIZE) == 2 * PAYLOAD
    assert [one.cause for one in ledger.entries if one.stage is Stage.LINEARIZE and one.bytes] == [
        Cause.CHECKSUM,
        Cause.FRAGMENTATION,
    ]


def test_lost_fragments_leave_open_how_much_did_not_arrive() -> None:
    """20 B of a fragment are gone, and with them the 36 B of its packet; without them, 36 B are missed."""
    arrived = by_tracepoints(PAYLOAD - 36)
    found = laws(dropping(arrived, Place.ARRIVING_FRAGMENT, "CPU_BACKLOG", 20))["T.L3"]

    assert found.state is LawState.UNKNOWN
    assert "fragments" in found.note
    assert laws(arrived)["T.L3"].state is LawState.BROKEN


@pytest.mark.parametrize(
    ("place", "reason", "arrived"),
    [
        (Place.ARRIVING, "CPU_BACKLOG", PAYLOAD - DOUBLE),
        (Place.ARRIVING, "TCP_CSUM", PAYLOAD - DOUBLE),
        (Place.RECEIVED, "TCP_CSUM", PAYLOAD),
        (Place.ARRIVING, "SOCKET_FILTER", PAYLOAD),
    ],
)  # fmt: skip
def test_where_a_packet_was_dropped_decides_whether_it_had_arrived(place: Place, reason: str, arrived: int) -> None:
    """TCP sums up small packets before it looks for their socket, large ones after; filters come after the counting."""
    observation = dropping(by_tracepoints(arrived), place, reason, DOUBLE)

    assert laws(observation)["T.L3"].state is LawState.HOLDS
    assert laws(dropping(by_tracepoints(arrived - 1), place, reason, DOUBLE))["T.L3"].state is LawState.BROKEN


def test_whether_a_packet_that_never_arrived_was_copied_first_is_not_known() -> None:
    """But by no more than was dropped."""
    lacking = dropping(by_functions(skb_copy_ubufs__return=PAYLOAD - 100), Place.ARRIVING, "CPU_BACKLOG", 100)
    too_much = dropping(by_functions(skb_copy_ubufs__return=PAYLOAD - 101), Place.ARRIVING, "CPU_BACKLOG", 100)

    assert laws(lacking)["F.L3"].state is LawState.UNKNOWN
    assert laws(too_much)["F.L3"].state is LawState.BROKEN


def dropped(qdiscs: list[str] | None, place: Place = Place.SENT, reason: str = "QDISC_DROP") -> list[str]:
    """What the entries say of a drop, on a machine whose qdiscs have dropped packets."""
    sample = changed(looped(), observations=[dropping(by_functions(), place, reason, DOUBLE)])
    told = changed(sample, host=changed_host(sample, qdiscs))
    return [entry.function for entry in ledger_of(told).entries if entry.stage is Stage.DROPPED]


def changed_host(sample: Recording, qdiscs: list[str] | None) -> object:
    import msgspec

    return msgspec.structs.replace(sample.host, dropping_qdiscs=qdiscs)


def test_a_drop_by_a_qdisc_bears_its_name() -> None:
    """As far as it is known, and of all that can have been it."""
    assert dropped(["netem on lo"]) == ["qdisc netem on lo"]
    assert dropped(["htb on lo", "netem on lo"]) == ["qdisc htb on lo or netem on lo"]
    assert dropped(None) == dropped([]) == ["a queue discipline (qdisc)"]
    assert dropped(["netem on lo"], Place.ARRIVING, "TCP_CSUM") == ["TCP, for a wrong checksum"]


def test_the_husk_of_a_packet_that_was_cut_up_is_no_drop() -> None:
    """Its segments go on, and count themselves."""
    assert dropped(["tbf on lo"], Place.UNOWNED, "NOT_SPECIFIED") == []
    assert dropped(["tbf on lo"], Place.UNOWNED) == ["qdisc tbf on lo"]


def test_a_drop_s_places_are_one_in_the_verdict() -> None:
    """Originals and doubles that one qdisc dropped are told together."""
    first = dropping(by_functions(net_dev_start_xmit__payload=PAYLOAD - DOUBLE), Place.SENT, "QDISC_DROP", DOUBLE)
    both = dropping(first, Place.UNOWNED, "QDISC_DROP", 7)
    observed = workload(bytes_sent=PAYLOAD)
    sample = recording(both, observed=observed)
    from tracer.books.analysis import document_of

    sentence = document_of(changed(sample, host=changed_host(sample, ["netem on lo"]))).verdict.sentence

    assert "10,014 B were dropped by qdisc netem on lo and sent again" in sentence


def test_retransmissions_that_a_queue_refused_are_tcp_s_alone() -> None:
    """TCP counts the attempt, the tracepoint what went out; without a drop there are none."""
    counted = sent("zerocopy") | received()
    observed = workload(retransmitted_bytes=7)
    unexplained = recording(functions(counted), observed=observed)
    refused = changed(
        unexplained, observations=[dropping(unexplained.observations[0], Place.SENT, "QDISC_DROP", DOUBLE)]
    )

    assert {law.id: law.state for law in ledger_of(unexplained).laws}["F.L2c"] is LawState.BROKEN
    assert {law.id: law.state for law in ledger_of(refused).laws}["F.L2c"] is LawState.UNKNOWN
