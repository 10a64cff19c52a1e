"""What this machine dropped itself is a place on the way, and part of the sums."""

from __future__ import annotations

import msgspec
import pytest

from tests.function_samples import looped as seen_by_functions
from tests.function_samples import with_counted
from tests.samples import PAGES, PAYLOAD, changed, host, recording, tracepoints, workload
from tracer.books.drops import Place, drop_tally
from tracer.books.function_rows import Row
from tracer.books.ledger import ledger_of
from tracer.model import Entry, Law, LawState, Recording, Stage, Tally

LOST = 14480


def with_drops(sample: Recording, *drops: tuple[Place, str, int], events: int = 10) -> Recording:
    """The recording with payload dropped at places, for reasons."""
    first, *others = sample.observations
    dropped = {drop_tally(place, reason): Tally(events=events, bytes=size) for place, reason, size in drops}
    seen = msgspec.structs.replace(first, tallies={**first.tallies, **dropped})
    return changed(sample, observations=[seen, *others])


def sent_twice(again: int, *, retransmitted: int, arrived: int) -> Recording:
    """zerocopy over lo: so many bytes left IP a second time."""
    observation = tracepoints(
        cgroup_egress__zerocopy=(9, PAYLOAD + again, PAGES),
        cgroup_ingress__copied=(9, arrived),
        skb_copy_datagram_iovec__copied=(11, PAYLOAD),
    )
    return recording(observation, observed=workload(retransmitted_bytes=retransmitted, sent_bytes=PAYLOAD + again))


def law(sample: Recording, identity: str) -> Law:
    return next(law for law in ledger_of(sample).laws if law.id == identity)


def dropped(sample: Recording) -> list[Entry]:
    return [entry for entry in ledger_of(sample).entries if entry.stage is Stage.DROPPED]


def test_a_drop_that_tcp_is_not_told_of_is_retransmitted_and_balances():
    """netem loss: gone between IP and the receiver, sent again by TCP's own count."""
    lost = sent_twice(LOST, retransmitted=LOST, arrived=PAYLOAD)
    sample = with_drops(lost, (Place.AT_SENDER, "QDISC_DROP", LOST))

    assert {found.state for found in ledger_of(sample).laws} == {LawState.HOLDS}
    assert law(lost, "T.L3").state is LawState.BROKEN


def test_a_drop_that_tcp_is_told_of_goes_out_again_and_is_no_retransmission():
    """A full qdisc: the packet stays unsent, leaves IP once more, and tcpi_bytes_retrans stays 0."""
    sample = with_drops(sent_twice(LOST, retransmitted=0, arrived=PAYLOAD), (Place.AT_SENDER, "QDISC_DROP", LOST))

    assert {found.state for found in ledger_of(sample).laws} == {LawState.HOLDS}
    assert law(sample, "T.L2").note == "14,480 B dropped on this machine and sent again"
    assert ledger_of(sample).bytes_of(Stage.PIN) == PAYLOAD


@pytest.mark.parametrize("missing", [1, LOST])
def test_drops_explain_no_more_than_they_are(missing):
    """A byte more that left than was dropped is a broken law, and says on which side it is."""
    sample = with_drops(
        sent_twice(LOST + missing, retransmitted=0, arrived=PAYLOAD + missing),
        (Place.AT_SENDER, "QDISC_DROP", LOST),
    )

    assert law(sample, "T.L2").state is LawState.BROKEN
    assert law(sample, "T.L2").explanation.startswith(f"the left side has {missing:,} more")


def test_what_came_twice_is_known_by_what_the_receiver_threw_away():
    """netem duplicate: more entered the receiver's TCP than left IP, and the surplus was discarded as old data."""
    sample = with_drops(
        sent_twice(0, retransmitted=0, arrived=PAYLOAD + LOST), (Place.AT_RECEIVER, "TCP_OLD_DATA", LOST)
    )

    assert law(sample, "T.L3").state is LawState.HOLDS
    assert law(sent_twice(0, retransmitted=0, arrived=PAYLOAD + LOST), "T.L3").state is LawState.BROKEN


def test_a_packet_that_was_filtered_at_the_socket_had_arrived():
    """A cgroup program that drops on ingress runs beside the one that counts: no socket is told on older kernels."""
    filtered = with_drops(
        sent_twice(LOST, retransmitted=LOST, arrived=PAYLOAD + LOST), (Place.ON_THE_WAY, "SOCKET_FILTER", LOST)
    )

    assert law(filtered, "T.L3").state is LawState.HOLDS
    assert dropped(filtered)[0].note == "at the receiver's socket: SOCKET_FILTER"


def test_a_dropped_fragment_takes_its_packet_with_it():
    """lo at MTU 68: of ten packets a fragment was dropped, and at most 48 bytes each did not come."""
    few = with_drops(sent_twice(480, retransmitted=480, arrived=PAYLOAD), (Place.FRAGMENT, "CPU_BACKLOG", 160))
    more = with_drops(sent_twice(481, retransmitted=481, arrived=PAYLOAD), (Place.FRAGMENT, "CPU_BACKLOG", 160))

    assert law(few, "T.L3").state is LawState.HOLDS
    assert law(more, "T.L3").state is LawState.BROKEN


def test_where_nobody_watched_drops_a_difference_is_not_explained_away():
    """Absent is not zero: the law breaks, and says that nobody counted drops."""
    lost = sent_twice(LOST, retransmitted=LOST, arrived=PAYLOAD)
    unwatched = msgspec.structs.replace(lost.observations[0], attached={})
    sample = changed(lost, observations=[unwatched])

    assert law(sample, "T.L3").state is LawState.BROKEN
    assert "nobody counted" in law(sample, "T.L3").explanation


def test_what_was_dropped_after_the_device_hides_how_much_had_been_copied():
    """The deferred copy may or may not have been made by then: unknown; a full backlog comes before it."""
    lost = sent_twice(LOST, retransmitted=LOST, arrived=PAYLOAD)
    hidden = with_drops(lost, (Place.ON_THE_WAY, "IP_INHDR", LOST))
    known = with_drops(lost, (Place.ON_THE_WAY, "CPU_BACKLOG", LOST))

    assert ledger_of(hidden).bytes_of(Stage.DEFERRED_COPY) is None
    assert ledger_of(known).bytes_of(Stage.DEFERRED_COPY) == PAYLOAD


@pytest.mark.parametrize(
    ("qdiscs", "name"),
    [(["netem on lo"], "qdisc netem on lo"), (["mq on eth0", "netem on eth0"], "qdisc_drop"), (None, "qdisc_drop")],
)
def test_a_dropped_byte_is_an_entry_with_a_place_a_count_and_a_reason(qdiscs, name):
    """The qdisc is named if only one can have done it; else the kernel's reason stands alone."""
    sample = with_drops(sent_twice(LOST, retransmitted=LOST, arrived=PAYLOAD), (Place.AT_SENDER, "QDISC_DROP", LOST))
    (entry,) = dropped(changed(sample, host=host(dropping_qdiscs=qdiscs)))

    assert (entry.function, entry.bytes, entry.events) == (name, LOST, 10)
    assert entry.note == "before the device: QDISC_DROP"


def test_without_drops_there_is_no_row_of_zeros():
    """A place where nothing happened is not shown."""
    assert dropped(sent_twice(0, retransmitted=0, arrived=PAYLOAD)) == []


def test_the_function_observer_s_books_balance_with_drops_too():
    """Through TCP twice, given to the driver once: told of the drop, TCP did not retransmit."""
    sample = with_counted(seen_by_functions(), Row.TRANSMIT, PAYLOAD + LOST)

    sample = changed(sample, observed=workload(sent_bytes=PAYLOAD + LOST))

    assert law(sample, "F.L2a").state is law(sample, "F.L2").state is LawState.BROKEN
    balanced = with_drops(sample, (Place.AT_SENDER, "QDISC_DROP", LOST))
    assert {found.state for found in ledger_of(balanced).laws} == {LawState.HOLDS}


@pytest.mark.parametrize(("reason", "counted"), [("QDISC_DROP", LOST), ("NOT_SPECIFIED", None)])
def test_the_husk_of_a_packet_that_a_qdisc_has_cut_up_is_no_loss(reason, counted):
    """tbf frees it without a reason, and its segments are dropped for themselves; a copy for no socket is a packet."""
    sample = with_drops(sent_twice(LOST, retransmitted=LOST, arrived=PAYLOAD), (Place.UNOWNED, reason, LOST))

    assert ledger_of(sample).bytes_of(Stage.DROPPED) == counted
    assert law(sample, "T.L3").state is (LawState.HOLDS if counted else LawState.BROKEN)
