"""What a sweep is: its plan, its runs, and the order in which they are done. Pure."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple

import msgspec

from tracer.model import Count, Experiment, Host, Link, ObserverChoice, Recording, Settings

SWEEP_SCHEMA: Literal["nettrace.sweep/1"] = "nettrace.sweep/1"

# Work of one run: 0.1 s to 1 s on a slow core, of which a profile has a hundred samples at least; so that the default
# sweep (720 runs) stays well under 10 minutes.
DEFAULT_BYTES_BUDGET = 256 << 20
# The same on an emulated CPU, some 50 times slower.
LAB_BYTES_BUDGET = 4 << 20
_MIN_MESSAGES, _MAX_MESSAGES = 16, 64_000
_Positive = Annotated[int, msgspec.Meta(ge=1)]
# A plan is read from a file, and every one of its runs is counted.
MAX_REPETITIONS = 1000


class Cell(NamedTuple):
    """One combination that a sweep measures; label is the mode's name, but for A/A checks."""

    label: str
    size: int
    threads: int


class Plan(Settings, frozen=True, kw_only=True):
    """All that decides what a sweep does; its settings are those of every run.

    Args:
        bytes_budget: Payload of one run, bytes; runs of small messages end before it, at 64,000 messages.
        sampled_bytes: The same by mode, of the first run of a combination, which is sampled, where that wants another.
        counters: CPU counters are read, which takes as long as a short run.
        time_budget_s: Time that one run sends for, instead of the bytes budget.
        same_mode_twice: An A/A check: every mode runs under two labels, whose ratio must be 1 but for noise.
        lab: The lab's kernel; None for this machine's own.
        setup: Shell commands that are run in the lab's guest before each run's passes.
    """

    modes: Annotated[list[str], msgspec.Meta(min_length=1)]
    sizes: Annotated[list[_Positive], msgspec.Meta(min_length=1, max_length=1000)]
    threads: Annotated[list[_Positive], msgspec.Meta(min_length=1, max_length=1000)]
    repetitions: Annotated[int, msgspec.Meta(ge=1, le=MAX_REPETITIONS)]
    seed: int
    link: Link = Link.LO
    observer: ObserverChoice = ObserverChoice.AUTO
    peer: str | None = None
    bytes_budget: _Positive = DEFAULT_BYTES_BUDGET
    sampled_bytes: Mapping[str, _Positive] = {}
    counters: bool = True
    time_budget_s: Annotated[float, msgspec.Meta(gt=0)] | None = None
    same_mode_twice: bool = False
    lab: str | None = None
    setup: tuple[str, ...] = ()

    def labels(self) -> dict[str, str]:
        """Label to mode."""
        if not self.same_mode_twice:
            return {mode: mode for mode in self.modes}
        return {f"{mode} {letter}": mode for mode in self.modes for letter in ("A", "B")}

    def cells(self) -> list[Cell]:
        """Every combination once."""
        return [
            Cell(label, size, threads) for label in self.labels() for size in self.sizes for threads in self.threads
        ]


class Job(NamedTuple):
    """One run that a plan asks for.

    Args:
        order: Its place in the shuffled order, from 0.
    """

    cell: Cell
    repetition: int
    order: int


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run that is done.

    Args:
        repetition: From 0; only the first one of a cell has an observed pass.
    """

    label: str
    repetition: Count
    order: Count
    recording: Recording

    @property
    def cell(self) -> Cell:
        """What it measured."""
        return Cell(self.label, self.recording.experiment.size, self.recording.experiment.threads)


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for all runs of a sweep: manifest.json.

    Args:
        started: When the sweep began, ISO 8601 with the zone.
        versions: Of the programs and libraries that made the figures.
    """

    schema: Literal["nettrace.sweep/1"]
    plan: Plan
    host: Host
    started: str
    versions: dict[str, str]


class Sweep(msgspec.Struct, frozen=True, kw_only=True):
    """A sweep as far as it got.

    Args:
        notes: What the reader must know, for example that it was interrupted.
    """

    manifest: Manifest
    runs: list[Run]
    notes: list[str] = []

    @property
    def complete(self) -> bool:
        """Whether every run of the plan is there."""
        return not jobs_left(self.manifest.plan, self.runs)


def default_budget(lab: str | None) -> int:
    """Payload of one run where the user names none, bytes."""
    return DEFAULT_BYTES_BUDGET if lab is None else LAB_BYTES_BUDGET


def jobs_of(plan: Plan) -> list[Job]:
    """All runs in the order in which to do them.

    Each repetition runs every cell once, in an order of its own, shuffled by the plan's seed: what drifts hits all
    cells alike, and cells of the same repetition are near each other in time, so that they can be paired.
    """
    # Not a secret: the order must be repeatable.
    shuffler = random.Random(plan.seed)
    jobs: list[Job] = []
    for repetition in range(plan.repetitions):
        cells = plan.cells()
        shuffler.shuffle(cells)
        jobs += [Job(cell, repetition, len(jobs) + index) for index, cell in enumerate(cells)]
    return jobs


def jobs_left(plan: Plan, runs: list[Run]) -> list[Job]:
    """What is still to do."""
    done = {(run.cell, run.repetition) for run in runs}
    return [job for job in jobs_of(plan) if (job.cell, job.repetition) not in done]


def experiment_of(plan: Plan, job: Job) -> Experiment:
    """The experiment of one run; the same work for every mode. The first run of a cell is sampled too.

    In the lab nothing is that measures cost: an emulated CPU has other costs than a real one.
    """
    cell, mode = job.cell, plan.labels()[job.cell.label]
    budget = plan.bytes_budget if job.repetition else plan.sampled_bytes.get(mode, plan.bytes_budget)
    messages = max(_MIN_MESSAGES, min(_MAX_MESSAGES, budget // cell.size) // cell.threads)
    return Experiment(
        mode=mode,
        size=cell.size,
        threads=cell.threads,
        messages=None if plan.time_budget_s else messages,
        duration_s=plan.time_budget_s,
        link=plan.link,
        observer=plan.observer,
        peer=plan.peer,
        lab=plan.lab,
        setup=plan.setup,
        counters=plan.counters and plan.lab is None,
        profile=plan.lab is None and job.repetition == 0,
        **{name: getattr(plan, name) for name in Settings.__struct_fields__},
    )
