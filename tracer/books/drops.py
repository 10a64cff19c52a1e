"""Payload that this machine itself dropped: where, how much, and for which reason of the kernel's. Pure.

Counted at the tracepoint kfree_skb, which gives the reason (since 5.17) and the receiving socket (since 6.11). The
location that it gives names a helper, not the qdisc, so the reason is what counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from tracer.books.tallies import total
from tracer.model import Entry, Observation, Stage, Tally

TRACEPOINT = "kfree_skb"


class Place(StrEnum):
    """Where a packet was when it was dropped; the C enum is made from this table."""

    AT_SENDER = "sender"
    UNOWNED = "unowned"
    ON_THE_WAY = "way"
    FRAGMENT = "fragment"
    AT_RECEIVER = "receiver"


# net.ipv4.tcp_min_snd_mss: TCP lets its packets be cut into IP fragments only where the MTU is too small for that.
_MOST_IN_FRAGMENTS = 48

_BY_QDISC = "QDISC"

# Dropped before anything in the kernel's receive path could copy it.
_UNCOPIED = frozenset({"CPU_BACKLOG"})

# A filter of the receiver's socket: the packet had arrived by then, though no socket may be told.
_ARRIVED = frozenset({"SOCKET_FILTER"})

_WHERE = {
    Place.AT_SENDER: "before the device",
    Place.UNOWNED: "before the device",
    Place.ON_THE_WAY: "between the device and the receiver's socket",
    Place.FRAGMENT: "IP fragments, without which the rest of their packets is lost too",
    Place.AT_RECEIVER: "at the receiver's socket",
}


def drop_tally(place: Place, reason: str) -> str:
    """Tally of what was dropped at a place for a reason."""
    return f"{TRACEPOINT}:{place}:{reason}"


def lost_before_arrival(observation: Observation) -> int | None:
    """Bytes that left the sender's IP and never came to the receiver's TCP, fragments apart; None if not watched."""
    return _bytes(observation, arrived=False)


def lost_with_fragments(observation: Observation) -> int:
    """Bytes that packets may have lost because fragments of theirs were dropped: at most."""
    fragments = (tally.events for place, _, tally in _drops(observation) if place is Place.FRAGMENT)
    return sum(fragments) * _MOST_IN_FRAGMENTS


def lost_at_most(observation: Observation) -> int | None:
    """All that may have been lost before it arrived; None if nobody watched."""
    return total(lost_before_arrival(observation), lost_with_fragments(observation))


def discarded_after_arrival(observation: Observation) -> int | None:
    """Bytes that the receiver's TCP had, and threw away: late duplicates, a full backlog; None if nobody watched."""
    return _bytes(observation, arrived=True)


def lost_on_the_way(observation: Observation) -> int:
    """Bytes dropped after the device, fragments too."""
    return sum(tally.bytes for _, tally in _after_the_device(observation))


def perhaps_copied_on_the_way(observation: Observation) -> int:
    """Bytes dropped after the device, where nobody can tell whether the deferred copy had been made by then."""
    return sum(tally.bytes for reason, tally in _after_the_device(observation) if reason not in _UNCOPIED)


def _after_the_device(observation: Observation) -> Iterator[tuple[str, Tally]]:
    for place, reason, tally in _drops(observation):
        if place in (Place.ON_THE_WAY, Place.FRAGMENT) and reason not in _ARRIVED:
            yield reason, tally


def dropped_bytes(observation: Observation) -> int | None:
    """All that may have been; None if nobody watched."""
    return total(lost_at_most(observation), discarded_after_arrival(observation))


def entries_of_drops(observation: Observation, qdiscs: list[str] | None) -> list[Entry]:
    """One entry for each place and reason; none where nothing was dropped.

    Args:
        qdiscs: Host.dropping_qdiscs.
    """
    return [
        Entry(
            stage=Stage.DROPPED,
            function=_name(place, reason, qdiscs),
            source=f"tracepoint:{TRACEPOINT}",
            bytes=tally.bytes,
            events=tally.events,
            note=f"{_WHERE[Place.AT_RECEIVER if reason in _ARRIVED else place]}: {reason}",
        )
        for place, reason, tally in _drops(observation)
    ]


def _name(place: Place, reason: str, qdiscs: list[str] | None) -> str:
    """The queueing discipline, where the reason says that one did it and only one can have."""
    by_qdisc = place in (Place.AT_SENDER, Place.UNOWNED) and reason.startswith(_BY_QDISC)
    return f"qdisc {qdiscs[0]}" if by_qdisc and qdiscs and len(qdiscs) == 1 else reason.lower()


def _drops(observation: Observation) -> Iterator[tuple[Place, str, Tally]]:
    for name, tally in observation.tallies.items():
        symbol, _, rest = name.partition(":")
        place, _, reason = rest.partition(":")
        if symbol == TRACEPOINT and tally.bytes and not _is_husk(Place(place), reason):
            yield Place(place), reason, tally


def _is_husk(place: Place, reason: str) -> bool:
    """What is left of a packet that a qdisc has cut up: its segments have the socket, and count themselves."""
    return place is Place.UNOWNED and not reason.startswith(_BY_QDISC)


def _bytes(observation: Observation, *, arrived: bool) -> int | None:
    if TRACEPOINT not in observation.attached:
        return None
    return sum(
        tally.bytes
        for place, reason, tally in _drops(observation)
        if place is not Place.FRAGMENT and (place is Place.AT_RECEIVER or reason in _ARRIVED) is arrived
    )
