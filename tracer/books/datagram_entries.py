"""What the tracepoint observer's tallies say about each stage of datagrams. Pure.

A message is a datagram, pinned whole or copied whole. One that was copied may be linear from the beginning: then it was
made so by nobody on its way. What UDP hands to a reader is copied by more than one function, of which one alone has a
tracepoint; but all that entered the receiver's socket, and was not dropped there, recv() has copied.
"""

from __future__ import annotations

from tracer.books import tracepoint_entries as tracepoints
from tracer.books.drops import Place, dropped_bytes, entries_of_drops
from tracer.books.law import bound, copied_as_completed, law
from tracer.books.tallies import bytes_at, difference, events_at, pages_at, total
from tracer.books.tracepoint_rows import Point, SkbState, tally_name
from tracer.model import Entry, Law, Link, Observation, Stage, Workload


def entries_of_datagrams(observation: Observation, link: Link, qdiscs: list[str] | None) -> list[Entry]:
    """One entry a stage, as of a stream."""
    entries = [_copy_in(observation), _pin(observation)]
    if link is Link.NIC:
        entries += tracepoints.unseen_at_nic(_linearize(observation, Point.XMIT))
    else:
        entries += [tracepoints.deferred_copy(observation), _linearize(observation, Point.INGRESS)]
        entries += [_copy_out(observation)]
    return [*entries, *entries_of_drops(observation, qdiscs)]


def reader_laws_of_datagrams(observation: Observation, workload: Workload) -> list[Law]:
    """What came to the receiver's socket is what it read; what it was copied before, completions say."""
    statement = "bytes that entered the receiver's UDP and were not dropped there = bytes it read"
    later = total(tracepoints.deferred_bytes(observation), made_linear(observation, Point.INGRESS))
    return [
        law("L6", statement, _read(observation), workload.received_bytes),
        *copied_as_completed(later, _pin(observation).bytes, workload),
    ]


def sending_laws_of_datagrams(observation: Observation, workload: Workload) -> list[Law]:
    """Nothing is sent again, and nobody but the engine counts what was sent."""
    left_ip, pinned = tracepoints.all_bytes(observation, Point.EGRESS), _pin(observation).bytes
    laws = [law("L2a", "bytes that left IP = payload", left_ip, workload.payload_bytes)]
    if workload.asked_bytes is not None:
        statement = "bytes of calls that asked for zero-copy >= bytes that left IP in pinned pages"
        laws.append(bound("L1", statement, workload.asked_bytes, pinned))
    return laws


def made_linear(observation: Observation, point: Point) -> int | None:
    """Payload that is linear here and was not when it left IP."""
    return difference(tracepoints.linear_bytes(observation, point), _linear_at_first(observation))


def _linear_at_first(observation: Observation) -> int | None:
    return bytes_at(observation, tally_name(Point.EGRESS, SkbState.LINEAR))


def _read(observation: Observation) -> int | None:
    return difference(
        tracepoints.all_bytes(observation, Point.INGRESS), dropped_bytes(observation, Place.RECEIVED) or 0
    )


def _copy_in(observation: Observation) -> Entry:
    copied = tally_name(Point.EGRESS, SkbState.COPIED), tally_name(Point.EGRESS, SkbState.LINEAR)
    return Entry(
        stage=Stage.COPY_IN,
        function="_copy_from_iter",
        source=tracepoints.source_of(Point.EGRESS),
        bytes=bytes_at(observation, *copied),
        events=events_at(observation, *copied),
        note="inferred from skb state",
    )


def _pin(observation: Observation) -> Entry:
    pinned = tally_name(Point.EGRESS, SkbState.ZEROCOPY)
    return Entry(
        stage=Stage.PIN,
        function="__zerocopy_sg_from_iter",
        source=tracepoints.source_of(Point.EGRESS),
        bytes=bytes_at(observation, pinned),
        events=events_at(observation, pinned),
        pages=pages_at(observation, pinned),
        note="inferred from skb state",
    )


def _linearize(observation: Observation, point: Point) -> Entry:
    return Entry(
        stage=Stage.LINEARIZE,
        function="skb_segment",
        source=tracepoints.source_of(point),
        bytes=made_linear(observation, point),
        note="payload in the linear part of an skb, which was in fragments when it left IP",
    )


def _copy_out(observation: Observation) -> Entry:
    return Entry(
        stage=Stage.COPY_OUT,
        function="udp_recvmsg",
        source=tracepoints.source_of(Point.INGRESS),
        bytes=_read(observation),
        events=events_at(observation, *(tally_name(Point.INGRESS, state) for state in SkbState)),
        note="inferred: recv() copies what came to its socket",
    )
