"""The tracepoint observer's laws: what passed each place, against TCP's own counters and the payload. Pure."""

from __future__ import annotations

from tracer.books import drops
from tracer.books import tracepoint_entries as tracepoints
from tracer.books.datagram_entries import reader_laws_of_datagrams, sending_laws_of_datagrams
from tracer.books.law import bound, copied_as_completed, given_to_driver, law, read_law, unless, unless_dropped
from tracer.books.receiving import uncopied_bytes
from tracer.books.scene import Scene
from tracer.books.tallies import difference, total
from tracer.books.tracepoint_rows import Point
from tracer.model import Law, Link, Observation, Workload


def tracepoint_laws(observation: Observation, scene: Scene, workload: Workload, *, by_socket: bool) -> list[Law]:
    """Those that the link allows.

    Args:
        by_socket: Each socket's own laws say what left it (books/socket_laws.py).
    """
    left_ip = tracepoints.all_bytes(observation, Point.EGRESS)
    dropped = drops.dropped_by_sender(observation)
    on_the_way = _ways_laws(observation, scene, difference(left_ip, dropped or 0), _BUT if dropped else "")
    on_the_way = [unless_dropped(one, dropped) for one in on_the_way]
    if workload.datagrams:
        reader = [] if scene.link is Link.NIC else reader_laws_of_datagrams(observation, workload)
        return [*sending_laws_of_datagrams(observation, workload), *on_the_way, *reader]
    # Of records, each socket's own laws speak.
    laws = [] if by_socket or workload.encrypted else _leaving_laws(left_ip, dropped, workload)
    if tracepoints.mixed_bytes(observation) and workload.asked_bytes is not None:
        statement = "bytes that left IP in packets with pinned pages >= bytes of calls that asked for zero-copy"
        laws.append(bound("L1", statement, tracepoints.flagged_bytes(observation, Point.EGRESS), workload.asked_bytes))
    laws += on_the_way
    return laws if scene.link is Link.NIC or workload.encrypted else laws + _reader_laws(observation, workload)


def _leaving_laws(left_ip: int | None, dropped: int | None, workload: Workload) -> list[Law]:
    """Of all sockets together, in a file of before each one had its row."""
    sent = total(workload.payload_bytes, workload.retransmitted_bytes)
    # TCP is told of some local drops, and then sends again without a retransmission.
    as_sent, sign = (bound, ">=") if dropped else (law, "=")
    return [
        law("L2", "bytes that left IP = bytes that TCP handed down (tcpi_bytes_sent)", left_ip, workload.bytes_sent),
        unless_dropped(as_sent("L2a", f"bytes that left IP {sign} payload + retransmitted", left_ip, sent), dropped),
    ]


_BUT = " - dropped on this machine"


def _ways_laws(observation: Observation, scene: Scene, went_on: int | None, but: str) -> list[Law]:
    """What left IP came to the driver, or into the receiver's TCP.

    Where a qdisc has taken packets' sockets, or doubled packets, both: the driver alone shows what must arrive.
    """
    orphaned = total(tracepoints.unowned_bytes(observation) or 0, drops.dropped_bytes(observation, drops.Place.UNOWNED))
    owned = tracepoints.all_bytes(observation, Point.XMIT)
    statement = f"bytes given to the driver = bytes that left IP{but}"
    if scene.link is Link.NIC:
        return [given_to_driver("L3", statement, owned, orphaned, went_on)]
    if not orphaned:
        return [_arrival_law(observation, scene.transport, f"bytes that left IP{but}", went_on)]
    given = total(owned, tracepoints.unowned_bytes(observation))
    return [
        _arrival_law(observation, scene.transport, "bytes given to the driver", given),
        given_to_driver("L3a", statement, owned, orphaned, went_on),
    ]


def _arrival_law(observation: Observation, transport: str, came: str, before: int | None) -> Law:
    early = drops.dropped_bytes(observation, drops.Place.ARRIVING, drops.Place.ARRIVING_FRAGMENT) or 0
    arrived = total(tracepoints.all_bytes(observation, Point.INGRESS), early)
    statement = f"bytes that entered the receiver's {transport}{' + dropped on the way in' if early else ''} = {came}"
    one = law("L3", statement, arrived, before)
    # They have no ports: some may be of acknowledgements.
    reason = "IP fragments were dropped: whose, and how much of their packets was lost with them, nobody knows"
    fragments = drops.dropped_bytes(observation, drops.Place.ARRIVING_FRAGMENT)
    return unless(one, reason, less=None, more=fragments) if drops.lost_fragments(observation) else one


def _reader_laws(observation: Observation, workload: Workload) -> list[Law]:
    read = tracepoints.all_bytes(observation, Point.COPY_OUT)
    copied = tracepoints.deferred_bytes(observation)
    later = total(copied, tracepoints.linear_bytes(observation, Point.INGRESS))
    return [
        read_law("L6", "bytes copied to the reader", total(read, uncopied_bytes(workload)), workload),
        *copied_as_completed(later, _completed_bytes(observation, workload), workload),
    ]


def _completed_bytes(observation: Observation, workload: Workload) -> int | None:
    """What completions speak of: calls that asked, and no header that was copied beside them.

    In a file of before these were counted apart, all; but of packets that mix both nobody knows.
    """
    if workload.asked_bytes is not None:
        return workload.asked_bytes
    return None if tracepoints.mixed_bytes(observation) else workload.payload_bytes
