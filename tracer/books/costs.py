"""What a payload byte cost the CPU: quantities derived from counters. Pure.

Each is None where its counter is; none is ever taken from a counter with another meaning without saying so.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from tracer.model import Counter, Recording

SCOPES = ("sender", "receiver", "system")
_CACHE_MISSES = ("LLC-load-misses", "L1-dcache-load-misses")


class Costs(NamedTuple):
    """What one scope spent on the bare pass.

    Args:
        cycles_per_byte: CPU cycles for each payload byte.
        cycles_source: "perf", or "tsc" for the stand-in.
        demand: Service demand, µs of CPU time for each KiB of payload.
        switches_per_s: Context switches in a second of the pass.
        misses_per_kib: Cache misses for each KiB of payload, or branch misses in their place.
        misses_event: Which misses; None where none were counted.
    """

    scope: str
    cycles_per_byte: float | None
    cycles_source: str
    demand: float | None
    switches_per_s: float | None
    misses_per_kib: float | None
    misses_event: str | None


def counter_of(counters: Iterable[Counter], event: str, scope: str) -> Counter | None:
    """The counter of an event in a scope, if it was counted."""
    found = (one for one in counters if one.event == event and one.scope == scope and one.value is not None)
    return next(found, None)


def per(value: float | None, amount: float) -> float | None:
    """A value for each of an amount; None of nothing."""
    return None if value is None or not amount else value / amount


def value_of(counters: Iterable[Counter], event: str, scope: str) -> float | None:
    """The value of a counter; None where it was not counted."""
    found = counter_of(counters, event, scope)
    return found.value if found else None


def cycles_per_byte(counters: Iterable[Counter], scope: str, payload_bytes: int) -> float | None:
    """CPU cycles for each payload byte."""
    return per(value_of(counters, "cycles", scope), payload_bytes)


def service_demand(counters: Iterable[Counter], scope: str, payload_bytes: int) -> float | None:
    """µs of CPU time for each KiB of payload (netperf's word and unit)."""
    return per(per(value_of(counters, "task-clock", scope), 1e3), payload_bytes / 1024)


def switches_per_second(counters: Iterable[Counter], scope: str, elapsed_s: float) -> float | None:
    """Context switches in a second of the measured window."""
    return per(value_of(counters, "context-switches", scope), elapsed_s)


def misses(counters: Iterable[Counter], scope: str) -> Counter | None:
    """The best count of cache misses there is: of the last level, else of the first, else branch misses in their place.

    The counter's event says which of them it is.
    """
    counted = list(counters)
    found = (counter_of(counted, event, scope) for event in (*_CACHE_MISSES, "branch-misses"))
    return next(filter(None, found), None)


def costs_of(recording: Recording) -> list[Costs]:
    """Costs of each scope that was counted; nothing without a bare pass."""
    bare = recording.workload
    if bare is None:
        return []
    scopes = {counter.scope for counter in recording.counters}
    return [
        _costs_of(recording.counters, scope, bare.payload_bytes, bare.elapsed_s) for scope in SCOPES if scope in scopes
    ]


def _costs_of(counters: list[Counter], scope: str, payload_bytes: int, elapsed_s: float) -> Costs:
    cycles, missed = counter_of(counters, "cycles", scope), misses(counters, scope)
    return Costs(
        scope=scope,
        cycles_per_byte=cycles_per_byte(counters, scope, payload_bytes),
        cycles_source=cycles.source if cycles else "none",
        demand=service_demand(counters, scope, payload_bytes),
        switches_per_s=switches_per_second(counters, scope, elapsed_s),
        misses_per_kib=per(missed.value, payload_bytes / 1024) if missed else None,
        misses_event=missed.event if missed else None,
    )
