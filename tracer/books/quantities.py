"""What is told of cost: which events it takes, what they are divided by, and how few make it worthless. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from tracer.model import Counter

# Of a hundred samples, a share of a half is known to within a sixth (99.9 %); of ten it is not known at all.
MIN_SAMPLES = 100
# User and kernel time are counted by the clock's ticks, of 10 ms at most: with so few, the standard error of a share is
# 11 % of all already.
MIN_TICKS = 20
# A profile that does not know where a fifth of the time went does not know the machine that it was made on.
MOST_UNATTRIBUTED = 0.2

_KIB, _MIB = 1024, 1 << 20


class Rate(NamedTuple):
    """An event, or the first of several that was counted, over an amount of payload.

    Args:
        label: For axes, with the unit.
        short: For the head of a row or column.
        events: In order of preference; all but the first are stand-ins, and are named wherever they stand in.
        payload: Bytes of payload that it is told for.
        unit: Of the event's count, so many make one of the rate's.
    """

    name: str
    label: str
    short: str
    events: tuple[str, ...]
    payload: int
    unit: float = 1.0

    def over(self, value: float | None, payload_bytes: int) -> float | None:
        """A count of the event over this much payload; None of nothing, or where nothing was sent."""
        if value is None or not payload_bytes or not math.isfinite(value):
            return None
        return value / self.unit / payload_bytes * self.payload

    def counted(self, counters: Iterable[Counter]) -> Counter | None:
        """The best counter that there is for it, of counters of one scope; None where none has a value."""
        found = {counter.event: counter for counter in counters if counter.value is not None}
        return next((found[event] for event in self.events if event in found), None)

    def source_of(self, counter: Counter) -> str:
        """What counted it, and which event it is, if that is a stand-in."""
        return counter.source if counter.event == self.events[0] else f"{counter.event}, {counter.source}"


CYCLES = Rate("cycles_per_byte", "cycles per byte", "cycles a byte", ("cycles",), 1)
# netperf's word and unit; the event is in ns.
DEMAND = Rate("demand", "service demand, µs of CPU per KiB", "µs of CPU a KiB", ("task-clock",), _KIB, unit=1e3)
# Of the last level, else of the first, else branch misses: "LLC" and the stand-in for it, as the source study has them.
MISSES = Rate(
    "misses_per_kib", "misses per KiB", "misses a KiB",
    ("LLC-load-misses", "L1-dcache-load-misses", "branch-misses"), _KIB,
)  # fmt: skip
SWITCHES = Rate(
    "switches_per_mib", "context switches per MiB", "switches a MiB", ("context-switches",), _MIB,
)  # fmt: skip


def of_scope(counters: Iterable[Counter], scope: str) -> list[Counter]:
    """The counters of one scope."""
    return [counter for counter in counters if counter.scope == scope]


def of_both_sides(counters: Iterable[Counter]) -> list[Counter]:
    """Sender and receiver together, where both were counted; else the whole system, which its source then says."""
    by_event: dict[str, dict[str, Counter]] = {}
    for counter in counters:
        if counter.value is not None:
            by_event.setdefault(counter.event, {})[counter.scope] = counter
    return [total for scopes in by_event.values() if (total := _together(scopes)) is not None]


def _together(scopes: dict[str, Counter]) -> Counter | None:
    sender, receiver, system = (scopes.get(scope) for scope in ("sender", "receiver", "system"))
    if sender and receiver and sender.value is not None and receiver.value is not None:
        return msgspec.structs.replace(sender, value=sender.value + receiver.value)
    return msgspec.structs.replace(system, source=f"{system.source}, whole system") if system else None
