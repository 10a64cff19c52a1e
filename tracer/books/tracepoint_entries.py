"""What the tracepoint observer's tallies say about each stage. Pure.

The state of the skbs at three places, and what follows from a difference between two of them:

    send call ──> egress ───> [driver] ──> ingress ───> skb_copy_datagram_iovec ──> reader
                  (leaves IP)              (enters TCP)  (copied to the reader)

- in fragments without the zero-copy flag at egress: copied in by the send call;
- in fragments with it: user pages were pinned;
- with the flag at egress and without it at ingress: the deferred copy ran between the two;
- in the linear part at the driver, or at ingress where no device comes between: linearized or segmented by copying.
Bytes that are sent again pass egress again without a new copy_from_user or pin, so they are taken off those two. How
many they are is TCP's own count (TCP_INFO, tcpi_bytes_retrans), and what this machine dropped and told TCP of, which is
sent once more and counts as no retransmission.
"""

from __future__ import annotations

from tracer.books.drops import (
    entries_of_drops,
    lost_at_most,
    lost_before_arrival,
    lost_on_the_way,
    perhaps_copied_on_the_way,
)
from tracer.books.tallies import bytes_at, difference, events_at, pages_at
from tracer.books.tracepoint_points import Point, State, tally_name
from tracer.model import Cause, Entry, Host, Link, Observation, Stage, Workload


def entries_from_tracepoints(observation: Observation, link: Link, workload: Workload, host: Host) -> list[Entry]:
    """One entry a stage and cause; ratios are left to the ledger."""
    again = sent_again(observation, workload)
    entries = [_copy_in(observation, again), _pin(observation, again, workload.retransmitted_bytes)]
    drops = entries_of_drops(observation, host.dropping_qdiscs)
    if link is Link.NIC:
        return [
            *entries,
            _unseen(Stage.DEFERRED_COPY, "skb_copy_ubufs"),
            _linearize(observation, Point.XMIT, host),
            _unseen(Stage.BOUNCE, "swiotlb_map"),
            *drops,
        ]
    deferred = [_deferred_copy(observation), *_tapped(observation, host)]
    return [*entries, *deferred, _linearize(observation, Point.INGRESS, host), _copy_out(observation), *drops]


def sent_again(observation: Observation, workload: Workload) -> int | None:
    """Bytes that left IP more than once: retransmitted, or dropped here and sent once more, as far as drops explain."""
    retransmitted, left_ip = workload.retransmitted_bytes, all_bytes(observation, Point.EGRESS)
    if retransmitted is None or left_ip is None:
        return retransmitted
    more = left_ip - workload.payload_bytes - retransmitted
    return retransmitted + min(max(0, more), lost_at_most(observation) or 0)


def _name(point: Point, *states: State) -> list[str]:
    return [tally_name(point, state) for state in states]


def all_bytes(observation: Observation, point: Point) -> int | None:
    """Payload that passed a point, in whatever state."""
    return bytes_at(observation, *_name(point, *State))


def flagged_bytes(observation: Observation, point: Point) -> int | None:
    """Payload that passed a point in skbs with the zero-copy flag."""
    return bytes_at(observation, *_name(point, State.ZEROCOPY, State.MIXED))


def mixed_bytes(observation: Observation) -> int | None:
    """Payload in skbs that hold copied and pinned bytes together."""
    return bytes_at(observation, tally_name(Point.EGRESS, State.MIXED))


def _unseen(stage: Stage, function: str) -> Entry:
    return Entry(stage=stage, function=function, source="", bytes=None, note="needs function probes: --lab")


def _source(point: Point) -> str:
    return point.replace("cgroup_", "cgroup:") if point.is_cgroup else f"tracepoint:{point}"


def _first_sent(observation: Observation, state: State, again: int | None) -> int | None:
    """Bytes of one state, sent for the first time; None where skbs hide which bytes are of that state."""
    if mixed_bytes(observation) or bytes_at(observation, tally_name(Point.EGRESS, State.LINEAR)):
        return None
    sent = bytes_at(observation, tally_name(Point.EGRESS, state))
    if sent != all_bytes(observation, Point.EGRESS) and sent:
        # Both kinds were sent: whose the bytes sent again are is not known.
        return None if again else sent
    return difference(sent, again) if sent else sent


def _why_hidden(observation: Observation) -> str:
    if mixed_bytes(observation):
        return "skbs mix copied and pinned bytes, and do not tell how many of each"
    if bytes_at(observation, tally_name(Point.EGRESS, State.LINEAR)):
        return "linear skbs do not tell where their bytes came from"
    return "inferred from skb state"


def _copy_in(observation: Observation, again: int | None) -> Entry:
    return Entry(
        stage=Stage.COPY_IN,
        function="_copy_from_iter",
        source=_source(Point.EGRESS),
        bytes=_first_sent(observation, State.COPIED, again),
        events=events_at(observation, tally_name(Point.EGRESS, State.COPIED)),
        note=_why_hidden(observation),
    )


def _pin(observation: Observation, again: int | None, retransmitted: int | None) -> Entry:
    return Entry(
        stage=Stage.PIN,
        function="skb_zerocopy_iter_stream",
        source=_source(Point.EGRESS),
        bytes=_first_sent(observation, State.ZEROCOPY, again),
        events=events_at(observation, tally_name(Point.EGRESS, State.ZEROCOPY)),
        pages=_pinned_pages(observation, retransmitted),
        note=_why_hidden(observation),
    )


def _pinned_pages(observation: Observation, retransmitted: int | None) -> int | None:
    """Page references of the skbs when first sent; None where some skbs cannot be told from retransmissions."""
    if mixed_bytes(observation):
        return None
    seen_again = all_bytes(observation, Point.RETRANSMIT)
    if seen_again != retransmitted or lost_before_arrival(observation):
        return None
    return difference(
        pages_at(observation, tally_name(Point.EGRESS, State.ZEROCOPY)),
        pages_at(observation, tally_name(Point.RETRANSMIT, State.ZEROCOPY)),
    )


def _deferred_copy(observation: Observation) -> Entry:
    size = _deferred_bytes(observation)
    return Entry(
        stage=Stage.DEFERRED_COPY,
        function="skb_copy_ubufs",
        source=_source(Point.INGRESS),
        bytes=size,
        events=events_at(observation, *_name(Point.EGRESS, State.ZEROCOPY, State.MIXED)),
        # Between the sender's IP and the receiver's TCP of this machine there is nothing else that makes it ordinary.
        cause=Cause.LOCAL_DELIVERY if size else None,
        note="zero-copy when it left, ordinary when it arrived: copied in between",
    )


def _deferred_bytes(observation: Observation) -> int | None:
    """What arrived ordinary though it left zero-copy; None where drops or another kind of packet hide how much.

    What arrived linear had been made so before, and had no page left to copy.
    """
    if perhaps_copied_on_the_way(observation):
        return None
    left, arrived = flagged_bytes(observation, Point.EGRESS), flagged_bytes(observation, Point.INGRESS)
    if left == all_bytes(observation, Point.EGRESS):
        return bytes_at(observation, tally_name(Point.INGRESS, State.COPIED)) if left else left
    return None if lost_before_arrival(observation) else difference(left, arrived)


def _tapped(observation: Observation, host: Host) -> list[Entry]:
    """Each packet socket on the way had a copy made of zero-copy packets, which no tracepoint sees."""
    if not host.packet_taps or not flagged_bytes(observation, Point.EGRESS):
        return []
    return [
        Entry(
            stage=Stage.DEFERRED_COPY,
            function="skb_copy_ubufs",
            source="",
            bytes=None,
            cause=Cause.PACKET_TAP,
            note=f"copied once more for {', '.join(host.packet_taps)}; how much takes function probes to see",
        )
    ]


def _linearize(observation: Observation, point: Point, host: Host) -> Entry:
    size = bytes_at(observation, tally_name(point, State.LINEAR))
    hidden = size and lost_on_the_way(observation)
    return Entry(
        stage=Stage.LINEARIZE,
        function="skb_segment",
        source=_source(point),
        bytes=None if hidden else size,
        events=events_at(observation, tally_name(point, State.LINEAR)),
        cause=_why_linear(host) if size else None,
        note=f"{size:,} B, and what of it was dropped on the way" if hidden else "payload in the linear part of an skb",
    )


def _why_linear(host: Host) -> Cause:
    """What the device lacks."""
    if host.nic is None or host.nic.scatter_gather is None:
        return Cause.UNKNOWN
    if not host.nic.scatter_gather:  # then there is nothing left to linearize for a checksum
        return Cause.NO_SCATTER_GATHER
    return Cause.CHECKSUM if host.nic.tx_checksum is False else Cause.UNKNOWN


def _copy_out(observation: Observation) -> Entry:
    return Entry(
        stage=Stage.COPY_OUT,
        function="_copy_to_iter",
        source=_source(Point.COPY_OUT),
        bytes=all_bytes(observation, Point.COPY_OUT),
        events=events_at(observation, *_name(Point.COPY_OUT, *State)),
    )
