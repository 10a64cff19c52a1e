"""The passes of one run: the same work done bare, observed, and profiled, one after the other."""

from __future__ import annotations

import contextlib
import datetime
import time
from collections.abc import Callable

from tracer.books.connections import Witness
from tracer.books.tallies import total
from tracer.errors import WorkloadError
from tracer.machine.interrupts import interrupts
from tracer.model import Counter, CpuProfile, Experiment, Observation, Workload
from tracer.model.watching import Window
from tracer.observers.choice import Observer
from tracer.observers.meters import Meters
from tracer.observers.sampler import Sampler
from tracer.observers.watched import Watched
from tracer.runs.dispatch import Progress
from tracer.runs.socket_recording import window_since
from tracer.runs.subjects.workload import OfWorkload
from tracer.texts import counted

_NO_WINDOW: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
# An observed pass that lost events is done again; on the slowest kernel seen one in four did.
_MOST_ATTEMPTS = 5
# And one whose books do not balance, once: where the kernel passed over a probe without counting it they do then.
_MOST_UNBALANCED = 2


class Passes:
    """What the passes gave until now; an interrupt ends the one that runs, and those before it stand.

    Attributes:
        bare: Nothing was attached: time and CPU.
        counters: Of the bare pass.
        observed: The last attempt of the observed pass.
        observations: What each observer counted in it.
        watched: Its sockets; None where no observer knows these.
        witness: What the engine counted of each of them.
        window: When they were watched; began_s: the same moment on the clock of the rows.
        attempts: Times that the observed pass was done.
        profile: None unless the profiled pass came to its end.
        complete: All that were asked for came to their end.
    """

    def __init__(self, experiment: Experiment, subject: OfWorkload, progress: Progress) -> None:
        self.bare: Workload | None = None
        self.counters: list[Counter] = []
        self.observed: Workload | None = None
        self.observations: list[Observation] = []
        self.watched: Watched | None = None
        self.witness: Witness | None = None
        self.window: Window | None = None
        self.began_s = 0.0
        self.attempts = 0
        self.profile: CpuProfile | None = None
        self.complete = False
        self._experiment, self._subject, self._progress = experiment, subject, progress

    def prepare(self) -> None:
        """The first one: what cannot be had is told now, before anything else is said or done.

        Raises:
            NettraceError: what a side lacks, or is refused.
            KeyboardInterrupt: the user has no more patience.
        """
        self._subject.prepare(self._experiment.messages, self._experiment.duration_s)

    def run(self, observers: list[Observer], meters: Meters, broken: Callable[[], list[str]] = list) -> None:
        """All of them, the first of which is prepared; no observer means no observed pass.

        Args:
            broken: Tells which laws the last observed pass breaks.
        """
        if not self._run_bare(meters):
            return
        # An interrupt while probes are attached or detached: the bare pass stands.
        with contextlib.suppress(KeyboardInterrupt):
            self.complete = self._run_observed(observers, broken) and self._run_profiled(observers, meters.sampler)

    def _run_bare(self, meters: Meters) -> bool:
        counted = "counted by perf" if self._experiment.counters else "nothing attached"
        self._progress(f"bare pass: time and CPU, {counted}")
        self.bare, finished = run_pass(self._subject, meters.window())
        self.counters = meters.read_counters(self.bare) if self.bare is not None else []
        return finished and self.bare is not None

    @property
    def stuck(self) -> WorkloadError | None:
        """Why the last pass was given up; None where it was not."""
        return self._subject.stuck

    @property
    def _messages(self) -> int:
        """The same work again; a duration becomes the number of messages that the bare pass sent in it."""
        sent = self.bare.messages if self.bare is not None else 0
        return self._experiment.messages or max(1, sent // self._experiment.threads)

    def _run_observed(self, observers: list[Observer], broken: Callable[[], list[str]]) -> bool:
        """The pass that is watched; again, a few times at most, where the kernel skipped a probe.

        It skips one that is running already on that CPU: if a task is preempted in the middle of it, the next task's
        call go unseen. That is bad luck, and likelier the slower the CPU; a pass that saw all is worth more than a
        doubt. Some kernels skip probes above PID 1, and do not count it (books/silent_skips.py).
        """
        if not observers:
            return True
        self._progress("observed pass: bytes, at " + ", ".join(observer.name for observer in observers))
        finished = self._attempt(observers)
        while finished and (why := self._why_again(broken)):
            self._progress(f"observed pass once more: {why}")
            finished = self._attempt(observers)
        return finished

    def _why_again(self, broken: Callable[[], list[str]]) -> str:
        """What is wrong with the last attempt; empty where nothing is, or more of them would not help."""
        if lost := self._lost():
            was = "was" if lost == 1 else "were"
            return f"{counted(lost, 'event')} {was} lost" if self.attempts < _MOST_ATTEMPTS else ""
        laws = broken() if self.attempts < _MOST_UNBALANCED else []
        return f"{', '.join(laws)} {'does' if len(laws) == 1 else 'do'} not hold" if laws else ""

    def _attempt(self, observers: list[Observer]) -> bool:
        started, begin_ns = datetime.datetime.now(datetime.UTC), time.monotonic_ns()
        for observer in observers:
            observer.attach()
        self.attempts += 1
        self.observed, finished = run_pass(self._subject, messages=self._messages)
        self.window, self.began_s = window_since(started, begin_ns), begin_ns / 1e9
        self.observations = [observer.detach() for observer in observers]
        self.watched = next((one.watched for one in observers if one.watched is not None), None)
        self.witness = self._subject.engine()
        return finished

    def _lost(self) -> int | None:
        return total(*(observation.lost for observation in self.observations))

    def _run_profiled(self, observers: list[Observer], sampler: Sampler | None) -> bool:
        """Sampled and otherwise unwatched; no profile of a part of it."""
        if sampler is None:
            return True
        for observer in observers:
            observer.close()
        self._progress(f"profiled pass: stacks, by {sampler.event}")
        sampler.attach()
        try:
            profiled, finished = run_pass(self._subject, messages=self._messages)
        finally:
            sampler.detach()
        self.profile = sampler.profile(profiled) if profiled is not None and finished else None
        return finished


def run_pass(
    subject: OfWorkload,
    window: contextlib.AbstractContextManager[None] = _NO_WINDOW,
    *,
    messages: int | None = None,
) -> tuple[Workload | None, bool]:
    """One pass: its figures, and whether it came to its end.

    Args:
        window: Is open while payload moves.
        messages: Of each connection; None of a pass that is prepared.
    """
    try:
        interrupts.look()
        if messages is not None:
            subject.prepare(messages, None)
        with window:
            subject.release()
            return subject.wait(), subject.stuck is None
    except KeyboardInterrupt:
        interrupts.hold()
        return subject.stop(), False
