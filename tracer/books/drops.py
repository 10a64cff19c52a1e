"""Tallies of dropped packets: where they were, how they are named, and what they add up to. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from tracer.model import Entry, Observation, Stage, Tally

POINT = "kfree_skb"


class Place(StrEnum):
    """Where a packet was; `enum place` of bpf/link.h is made of it: the name in C, and in the tally's name.

    A packet that lost one of its fragments is lost whole, and how much that is, nothing tells. UNOWNED is what a qdisc
    took the socket from, on its way to the device; ARRIVING, behind the device, is no socket's yet.
    """

    SENT = "sent"
    SENT_FRAGMENT = "sent_fragment"
    UNOWNED = "unowned"
    ARRIVING = "arriving"
    ARRIVING_FRAGMENT = "arriving_fragment"
    RECEIVED = "received"


_WHERE = {
    Place.SENT: "on the sending side",
    Place.SENT_FRAGMENT: "on the sending side: IP fragments, without which the rest of their packets is lost too",
    Place.UNOWNED: "on the sending side, of packets that had no socket any more",
    Place.ARRIVING: "on the way to the receiver's socket",
    Place.ARRIVING_FRAGMENT: "on the way to the receiver: IP fragments, without which their packets are lost",
    Place.RECEIVED: "on the receiving side",
}
_FRAGMENTS = (Place.SENT_FRAGMENT, Place.ARRIVING_FRAGMENT)

# Filters of the receiver's socket see a packet after those that count it (sk_filter_trim_cap(), net/core/filter.c), and
# a datagram is queued after both, while it still has its device (udp_queue_rcv_one_skb(), net/ipv4/udp.c).
_COUNTED_BEFORE = frozenset({"SOCKET_FILTER", "SOCKET_RCVBUFF", "PROTO_MEM"})
# Dropped before anything in the receive path could copy its pages.
_UNCOPIED = frozenset({"CPU_BACKLOG"})
_BY_QDISC = "QDISC"


def drop_name(reason: str, place: Place) -> str:
    """The tally's name: "kfree_skb:sent:QDISC_DROP"."""
    return f"{POINT}:{place}:{reason}"


def _drops(observation: Observation) -> Iterator[tuple[Place, str, Tally]]:
    for name, tally in observation.tallies.items():
        symbol, _, rest = name.partition(":")
        place, _, reason = rest.partition(":")
        if symbol == POINT and not _is_husk(Place(place), reason):
            found = Place.RECEIVED if place == Place.ARRIVING and reason in _COUNTED_BEFORE else Place(place)
            yield found, reason, tally


def _is_husk(place: Place, reason: str) -> bool:
    """What is left of a packet that a qdisc has cut up or copied: its segments, and the copy, count themselves."""
    return place is Place.UNOWNED and not reason.startswith(_BY_QDISC)


def dropped_bytes(observation: Observation, *places: Place) -> int | None:
    """Payload that was dropped at these places; None where nobody looked for drops."""
    if POINT not in observation.attached:
        return None
    return sum(tally.bytes for place, _, tally in _drops(observation) if place in places)


def dropped_by_sender(observation: Observation) -> int | None:
    """Payload that was dropped while it had its sender's socket; None where nobody looked for drops."""
    return dropped_bytes(observation, Place.SENT, Place.SENT_FRAGMENT)


def lost_on_the_way(observation: Observation) -> int | None:
    """All that was dropped before a receiver's socket had it; None where nobody looked for drops."""
    return dropped_bytes(observation, *(place for place in Place if place is not Place.RECEIVED))


def lost_fragments(observation: Observation) -> bool:
    """Whether IP fragments were dropped: how much of their packets is lost with them is not known."""
    return bool(dropped_bytes(observation, *_FRAGMENTS))


def dropped_on_arrival(observation: Observation, *, perhaps_copied: bool) -> int | None:
    """Payload that was dropped behind the device, before a socket had it; None where nobody looked for drops.

    Args:
        perhaps_copied: Only what may have been copied before; else only what was not.
    """
    if POINT not in observation.attached:
        return None
    return sum(
        tally.bytes
        for place, reason, tally in _drops(observation)
        if place in (Place.ARRIVING, Place.ARRIVING_FRAGMENT) and (reason not in _UNCOPIED) is perhaps_copied
    )


def any_by_qdisc(observations: list[Observation]) -> bool:
    """Whether a queue discipline dropped some of the payload."""
    return any(reason.startswith(_BY_QDISC) for one in observations for _, reason, tally in _drops(one) if tally.bytes)


# The kernel's words are short; these say where it was.
_BY_REASON = {
    "TC_EGRESS": "tc filter on the way out",
    "TC_INGRESS": "tc filter on the way in",
    "BPF_CGROUP_EGRESS": "a cgroup's BPF program, on the way out",
    "SOCKET_FILTER": "socket filter, or a cgroup's BPF program, on the way in",
    "SOCKET_BACKLOG": "the receiver's backlog (TCPBacklogDrop)",
    "SOCKET_RCVBUFF": "the receiver's buffer",
    "NETFILTER_DROP": "netfilter rule",
    "TCP_CSUM": "TCP, for a wrong checksum",
    "TCP_INVALID_SEQUENCE": "TCP, outside of its window",
    "TCP_RFC7323_PAWS": "TCP, for an old timestamp",
    "CPU_BACKLOG": "the CPU's backlog",
}


def entries_of_drops(observation: Observation, qdiscs: list[str] | None) -> list[Entry]:
    """One entry for each place and reason; none where nothing was dropped or nobody looked.

    Args:
        qdiscs: As in Host.dropping_qdiscs.
    """
    return [
        Entry(
            stage=Stage.DROPPED,
            function=_function(reason, qdiscs),
            source=f"tracepoint:{POINT}",
            bytes=tally.bytes,
            events=tally.events,
            note=f"{reason}, {_WHERE[place]}",
        )
        for place, reason, tally in _drops(observation)
        if reason not in NO_LOSS
    ]


def _function(reason: str, qdiscs: list[str] | None) -> str:
    """The queue disciplines that have dropped packets, where the reason says that one of them did it."""
    if reason.startswith(_BY_QDISC):
        return f"qdisc {' or '.join(qdiscs)}" if qdiscs else "a queue discipline (qdisc)"
    return _BY_REASON.get(reason, reason)


# TCP got these bytes once already, or the socket is going: nothing is missing.
NO_LOSS = frozenset({"DUP_FRAG", "TCP_OLD_DATA", "TCP_OLD_SEQUENCE", "TCP_OFOMERGE", "QUEUE_PURGE", "TCP_ZEROWINDOW"})
