"""What a payload byte cost the CPU: the quantities of tracer/books/quantities.py by scope. Pure.

Each is None where its counter is; none is ever taken from a counter with another meaning without saying so.
"""

from __future__ import annotations

from typing import NamedTuple

from tracer.books.quantities import CYCLES, DEMAND, MISSES, SWITCHES, of_scope
from tracer.model import Counter, Recording

SCOPES = ("sender", "receiver", "system")


class Costs(NamedTuple):
    """What one scope spent on the bare pass.

    Args:
        cycles_per_byte: CPU cycles for each payload byte.
        cycles_source: "perf", or "tsc" for the stand-in.
        demand: Service demand, µs of CPU time for each KiB of payload.
        demand_source: Whose clock: "perf", "thread-clock", "proc-stat"; "none".
        switches_per_s: Context switches in a second of the pass.
        misses_per_kib: Cache misses for each KiB of payload, or branch misses in their place.
        misses_event: Which misses; None where none were counted.
    """

    scope: str
    cycles_per_byte: float | None
    cycles_source: str
    demand: float | None
    demand_source: str
    switches_per_s: float | None
    misses_per_kib: float | None
    misses_event: str | None


def costs_of(recording: Recording) -> list[Costs]:
    """Costs of each scope that was counted; nothing without a bare pass."""
    bare = recording.workload
    if bare is None:
        return []
    scopes = filter(None, (of_scope(recording.counters, scope) for scope in SCOPES))
    return [_costs_of(counters, bare.payload_bytes, bare.elapsed_s) for counters in scopes]


def _costs_of(counters: list[Counter], payload_bytes: int, elapsed_s: float) -> Costs:
    """Costs of the scope that these counters are of."""
    cycles, clock, switches, missed = (rate.counted(counters) for rate in (CYCLES, DEMAND, SWITCHES, MISSES))
    return Costs(
        scope=counters[0].scope,
        cycles_per_byte=CYCLES.over(cycles.value, payload_bytes) if cycles else None,
        cycles_source=cycles.source if cycles else "none",
        demand=DEMAND.over(clock.value, payload_bytes) if clock else None,
        demand_source=clock.source if clock else "none",
        switches_per_s=switches.value / elapsed_s if switches and switches.value is not None and elapsed_s else None,
        misses_per_kib=MISSES.over(missed.value, payload_bytes) if missed else None,
        misses_event=missed.event if missed else None,
    )
