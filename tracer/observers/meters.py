"""What measures cost: counters around the bare pass, the sampler around a pass of its own. Both only when asked for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tracer.machine.kernel.symbols import why_no_names
from tracer.machine.perf_output import tsc_rate
from tracer.machine.processes import Workers
from tracer.model import Counter, Experiment, Workload
from tracer.observers.counters import Counters
from tracer.observers.prepared import Prepared
from tracer.observers.sampler import Processes, Sampler


class Meters:
    """The meters that an experiment asks for; no sampler where the functions that it would find have no names.

    Raises:
        MachineError: the sampler cannot be compiled. (Counters that cannot count are a note.)
    """

    def __init__(self, experiment: Experiment, workers: Workers, prepared: Prepared | None = None) -> None:
        sender, receiver = workers.sender_pid, workers.receiver_pid
        self.sampler: Sampler | None = None
        self._counters = Counters(sender, receiver) if experiment.counters else None
        try:
            if experiment.profile and why_no_names() is None:
                rate = tsc_rate(Path("/proc/cpuinfo").read_text())
                self.sampler = Sampler(Processes(sender, receiver or 0), rate, prepared)
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
