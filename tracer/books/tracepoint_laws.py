"""The tracepoint observer's laws: what passed each place, against TCP's own counters and the payload. Pure."""

from __future__ import annotations

from tracer.books import drops
from tracer.books import tracepoint_entries as tracepoints
from tracer.books.law import bound, copied_as_completed, law, unless_dropped
from tracer.books.tallies import difference, total
from tracer.books.tracepoint_rows import Point
from tracer.model import Experiment, Law, Link, Observation, Workload


def tracepoint_laws(observation: Observation, experiment: Experiment, workload: Workload) -> list[Law]:
    """Those that the link allows."""
    left_ip = tracepoints.all_bytes(observation, Point.EGRESS)
    seen = drops.dropped_bytes(observation, received=False)
    dropped = seen or 0
    sent = total(workload.payload_bytes, workload.retransmitted_bytes)
    laws = [
        law("L2", "bytes that left IP = bytes that TCP handed down (tcpi_bytes_sent)", left_ip, workload.bytes_sent)
    ]
    if dropped:
        # TCP is told of some local drops, and then sends again without a retransmission.
        laws.append(bound("L2a", "bytes that left IP >= payload + retransmitted", left_ip, sent))
    else:
        laws.append(law("L2a", "bytes that left IP = payload + retransmitted", left_ip, sent))
    laws += _further_laws(observation, experiment, workload, difference(left_ip, dropped))
    return [unless_dropped(one, seen) if one.id in _ON_THE_WAY else one for one in laws]


# Those whose two sides are parted by places that may drop a packet.
_ON_THE_WAY = ("L2a", "L3")


def _further_laws(
    observation: Observation, experiment: Experiment, workload: Workload, went_on: int | None
) -> list[Law]:
    but = " - dropped on this machine" if drops.drops_of(observation, received=False) else ""
    if experiment.link is Link.NIC:
        at_driver = tracepoints.all_bytes(observation, Point.XMIT)
        return [law("L3", f"bytes given to the driver = bytes that left IP{but}", at_driver, went_on)]
    early = drops.dropped_before_tcp(observation) or 0
    arrived = total(tracepoints.all_bytes(observation, Point.INGRESS), early)
    before = " + dropped on the way in" if early else ""
    read = tracepoints.all_bytes(observation, Point.COPY_OUT)
    copied = tracepoints.deferred_bytes(observation)
    # Packets that mix copied and pinned bytes do not tell how many of them the completions speak of.
    pinned = None if tracepoints.mixed_bytes(observation) else workload.payload_bytes
    return [
        law("L3", f"bytes that entered the receiver's TCP{before} = bytes that left IP{but}", arrived, went_on),
        law("L6", "bytes copied to the reader = payload", read, workload.payload_bytes),
        *copied_as_completed(total(copied, tracepoints.linear_bytes(observation, Point.INGRESS)), pinned, workload),
    ]
