"""Tracepoints that the kernel passed over without counting: told by what cannot be. Pure.

Some kernels (6.18 for microVMs was seen to) run no tracing program while PID 1 is current, and softirqs run in whatever
task they interrupt. The cgroup programs, which see packets leave IP and enter TCP, are not among these.
"""

from __future__ import annotations

from tracer.books import drops
from tracer.books import tracepoint_entries as tracepoints
from tracer.books.tallies import difference, events_at, total
from tracer.books.tracepoint_rows import Point, SkbState, tally_name
from tracer.model import Observation


def silent_skips(observation: Observation) -> int:
    """Packets that no tracepoint has seen where one must have: at least so many were passed over.

    What entered the receiver's TCP was given to a device before; what left IP was given to one, or dropped. 0 where
    nothing hangs on what a tracepoint saw: all that left IP arrived, and none of it was dropped or doubled.
    """
    given = total(tracepoints.all_bytes(observation, Point.XMIT), tracepoints.unowned_bytes(observation) or 0)
    not_given = difference(tracepoints.all_bytes(observation, Point.INGRESS), given)
    if not_given is not None and not_given > 0:
        return _fewer_packets(observation) if _rests_on_tracepoints(observation) else 0
    went_on = difference(tracepoints.all_bytes(observation, Point.EGRESS), drops.dropped_by_sender(observation))
    unseen = difference(went_on, given)
    return 1 if unseen is not None and unseen > 0 else 0


def _rests_on_tracepoints(observation: Observation) -> bool:
    return bool(drops.lost_on_the_way(observation) or tracepoints.unowned_bytes(observation))


def _fewer_packets(observation: Observation) -> int:
    """At the device than in TCP; a device that cannot segment has more of them, and smaller ones."""
    return max(1, (_packets(observation, Point.INGRESS) or 0) - (_packets(observation, Point.XMIT) or 0))


def _packets(observation: Observation, point: Point) -> int | None:
    return events_at(observation, *(tally_name(point, state) for state in SkbState))
