"""What measures cost: counters around the bare pass, the sampler around a pass of its own. Both only when asked for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tracer.books.stages import unmapped_share
from tracer.machine.kernel.symbols import why_no_names
from tracer.machine.perf_output import tsc_rate
from tracer.machine.processes import Workers
from tracer.model import Counter, CpuProfile, Experiment, Workload
from tracer.observers.counters import Counters, complaint_of
from tracer.observers.sampler import Processes, Sampler

# A profile of which more than this is nobody knows what needs new rows in tracer/books/stage_table.py.
_MAX_UNMAPPED = 0.05
# Of a profile with more than this in other processes' contexts, other traffic may be a part.
_MAX_ELSEWHERE = 0.1
_FEW_SAMPLES = 200
# 25 shuffled pairs of one-copy, 16 KiB, loopback, 2 virtual CPUs: 1.1 to 1.2 of the CPU time, 1.2 to 1.3 of the time,
# where two bare passes differed by 1.03 and 1.08. perf switches its events at every context switch.
PERF_COSTS = "perf slowed the bare pass down, by 10 to 20 % where that was measured: time it without --counters"


class Meters:
    """The meters that an experiment asks for.

    Raises:
        MachineError: the sampler cannot be compiled. (Counters that cannot count are a note.)
    """

    def __init__(self, experiment: Experiment, workers: Workers) -> None:
        sender, receiver = workers.sender_pid, workers.receiver_pid
        self.sampler: Sampler | None = None
        self._counters = Counters(sender, receiver) if experiment.counters else None
        try:
            if experiment.profile and why_no_names() is None:
                rate = tsc_rate(Path("/proc/cpuinfo").read_text())
                self.sampler = Sampler(Processes(sender, receiver or 0), rate)
        except BaseException:
            self.close()
            raise

    @contextlib.contextmanager
    def window(self) -> Iterator[None]:
        """The time that the counters count."""
        if self._counters is None:
            yield
            return
        self._counters.enable()
        try:
            yield
        finally:
            self._counters.disable()

    def read_counters(self, bare: Workload) -> list[Counter]:
        """What was counted while the window was open; nothing if nobody asked."""
        return self._counters.read(bare) if self._counters else []

    def close(self) -> None:
        """End perf, free the sampler."""
        if self._counters:
            self._counters.close()
        if self.sampler:
            self.sampler.close()


def notes_of(counters: list[Counter], profile: CpuProfile | None) -> list[str]:
    """What the reader must know about the cost figures."""
    complaint = complaint_of(counters)
    notes = [complaint] if complaint else []
    if any(counter.source == "perf" for counter in counters):
        notes.append(PERF_COSTS)
    return notes + (_profile_notes(profile) if profile else [])


def _profile_notes(profile: CpuProfile) -> list[str]:
    notes = []
    if profile.samples < _FEW_SAMPLES:
        notes.append(f"the CPU profile has {profile.samples} samples only: send more for shares to rely on")
    if profile.lost:
        notes.append(f"{profile.lost} samples of the CPU profile were lost")
    if profile.elsewhere > _MAX_ELSEWHERE * profile.samples:
        notes.append(
            f"{profile.elsewhere} samples of the CPU profile are softirqs that may belong to other TCP traffic"
        )
    unmapped = unmapped_share(profile.stages)
    if unmapped > _MAX_UNMAPPED:
        notes.append(f"{unmapped:.1%} of the CPU profile is in kernel functions that nettrace has no stage for")
    return notes
