"""The figures of a sweep: quantities with their sources, by cell and repetition. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

from tracer.books import quantities
from tracer.books.ledger import ledger_of
from tracer.books.quantities import MIN_SAMPLES, MIN_TICKS, Rate, of_both_sides
from tracer.books.tallies import total
from tracer.model import CpuProfile, CpuTime, Recording, Stage
from tracer.study.intervals import Interval, Series, interval_of, ratio_of
from tracer.study.sweep_plan import Cell, Run

# A tick of the clock, ns, where it is longest: the machine that measured is not always this one.
_TICK_NS = 10_000_000


class Measured(NamedTuple):
    """A value and what counted it; a stand-in's name is part of the source."""

    value: float
    source: str


class Quantity(NamedTuple):
    """Something that every run has one value of, or none.

    Args:
        label: For axes, with the unit.
        short: For the head of a row or column.
        read: None where the run did not measure it.
    """

    name: str
    label: str
    short: str
    read: Callable[[Recording], Measured | None]


def _of_workload(recording: Recording, value: float | None, source: str) -> Measured | None:
    whole = recording.complete and recording.workload is not None and recording.workload.payload_bytes
    return Measured(value, source) if whole and value is not None and math.isfinite(value) and value > 0 else None


def _throughput(recording: Recording) -> Measured | None:
    bare = recording.workload
    return _of_workload(recording, bare.throughput_bytes_per_s * 8 / 1e9 if bare else None, "bare pass")


def _latency(recording: Recording) -> Measured | None:
    bare = recording.workload
    latency = bare.latency_ns if bare else None
    return _of_workload(recording, latency.p50 / 1e3 if latency else None, "bare pass, sender")


def cpu_spent(*sides: CpuTime | None) -> int | None:
    """CPU time of all sides together, ns; None where one was not measured, or by too few ticks of the clock alone."""
    known = [side.spent for side in sides if side is not None]
    if len(known) < len(sides) or None in known:
        return None
    spent = sum(time or 0 for time in known)
    exact = all(side.total is not None for side in sides if side is not None)
    return spent if exact or spent >= MIN_TICKS * _TICK_NS else None


def _demand(recording: Recording) -> Measured | None:
    """Of sender and receiver threads together; None where the receiver is on another machine."""
    bare = recording.workload
    spent = cpu_spent(bare.sender_cpu_ns, bare.receiver_cpu_ns) if bare else None
    if bare is None or spent is None:
        return None
    return _of_workload(recording, quantities.DEMAND.over(spent, bare.payload_bytes), "CPU time of both sides")


def _quantity(rate: Rate) -> Quantity:
    """A rate of counters of both sides, over what the bare pass sent."""

    def read(recording: Recording) -> Measured | None:
        payload = recording.workload.payload_bytes if recording.workload and recording.complete else 0
        found = rate.counted(of_both_sides(recording.counters))
        value = rate.over(found.value, payload) if found else None
        # A stand-in event is named in the source: branch misses are no cache misses.
        return Measured(value, rate.source_of(found)) if found and value is not None else None

    return Quantity(rate.name, rate.label, rate.short, read)


THROUGHPUT = Quantity("throughput", "throughput, Gb/s", "Gb/s", _throughput)
LATENCY = Quantity("latency", "time per message (p50, sender), µs", "µs a message", _latency)
DEMAND = Quantity(quantities.DEMAND.name, quantities.DEMAND.label, quantities.DEMAND.short, _demand)
CYCLES, MISSES, SWITCHES = map(_quantity, (quantities.CYCLES, quantities.MISSES, quantities.SWITCHES))
QUANTITIES = (THROUGHPUT, LATENCY, DEMAND, CYCLES, MISSES, SWITCHES)


class Family:
    """The comparisons that one decision rests on: the more there are, the wider the interval of each.

    Args:
        comparisons: How many there are; 1 while they are still being counted.
    """

    def __init__(self, comparisons: int = 1) -> None:
        self.comparisons = comparisons
        self._made: set[tuple[object, ...]] = set()

    def add(self, *comparison: object) -> None:
        """Note a comparison; one that is made twice is one."""
        self._made.add(comparison)

    @property
    def made(self) -> int:
        """Comparisons so far."""
        return len(self._made)


class Samples:
    """All values of one quantity, by cell and repetition; of cells where at least four of five repetitions have one.

    Args:
        family: What its ratios are part of; None for each one by itself.

    Attributes:
        sources: What counted them; more than one source is never compared: see `comparable`.
    """

    def __init__(self, runs: Sequence[Run], quantity: Quantity, family: Family | None = None) -> None:
        self.quantity = quantity
        self.family = family or Family()
        done = Counter(run.cell for run in runs)
        read = [(run, measured) for run in runs if (measured := quantity.read(run.recording)) is not None]
        self._series: dict[Cell, dict[int, float]] = {}
        for run, measured in read:
            self._series.setdefault(run.cell, {})[run.repetition] = measured.value
        # What most repetitions could not measure was too small for it, perhaps: the others are no sample of them.
        self._series = {cell: series for cell, series in self._series.items() if 5 * len(series) >= 4 * done[cell]}
        self.sources: set[str] = {measured.source for run, measured in read if run.cell in self._series}

    @property
    def comparable(self) -> bool:
        """Whether there are values, all from one source."""
        return len(self.sources) == 1

    @property
    def source(self) -> str:
        """What counted the values."""
        return " and ".join(sorted(self.sources)) or "nothing"

    def at(self, label: str, size: int, threads: int) -> Series:
        """Values of one cell by repetition; empty where there are none."""
        return self._series.get(Cell(label, size, threads), {})

    def interval(self, label: str, size: int, threads: int) -> Interval | None:
        """Median and interval of one cell."""
        return interval_of(list(self.at(label, size, threads).values()))

    def ratio(self, one: Cell, other: Cell) -> Interval | None:
        """One cell's values over another's, paired by repetition; None where different things counted them."""
        if not self.comparable:
            return None
        if one != other:
            self.family.add(self, one, other)
        return ratio_of(self.at(*one), self.at(*other), self.family.comparisons)

    def cells(self) -> list[Cell]:
        """All cells that have a value."""
        return sorted(self._series)

    def values_of(self, position: Literal[0, 1, 2]) -> list[Any]:
        """Labels (0, in order of appearance), sizes (1) or thread counts (2) that occur."""
        values = dict.fromkeys(cell[position] for cell in self._series)
        return list(values) if position == 0 else sorted(values)


_TAKEN = (Stage.COPY_IN, Stage.PIN)


def stage_copies(recording: Recording) -> dict[Stage, float]:
    """Bytes of each stage by payload byte; unknown stages and untrustworthy books are left out."""
    ledger, observed = ledger_of(recording), recording.observed
    if observed is None or not ledger.trustworthy or not observed.payload_bytes:
        return {}
    sizes = {stage: ledger.bytes_of(stage) for stage in Stage}
    # The engine itself counts what it packs, so that a mode that packs nothing is known to.
    sizes[Stage.PACK] = observed.packed_bytes
    # It has an entry only where something was spliced; else the other two account for every byte.
    if ledger.entry(Stage.SPLICE) is None and total(*map(sizes.get, _TAKEN)) == observed.payload_bytes:
        sizes[Stage.SPLICE] = 0
    return {stage: size / observed.payload_bytes for stage, size in sizes.items() if size is not None}


def profile_of(recording: Recording) -> CpuProfile | None:
    """The CPU profile of a recording; None where nothing sampled, or too seldom to tell the stages apart."""
    profile = recording.profile
    return profile if profile is not None and profile.samples >= MIN_SAMPLES else None
