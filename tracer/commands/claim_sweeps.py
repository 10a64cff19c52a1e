"""The sweeps that nettrace claims judges from: those that are there, made whole, and repeated if asked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tracer.commands.options import progress_bar
from tracer.commands.output import note
from tracer.commands.sweep import (
    DEFAULT_DIRECTORY,
    DEFAULT_MODES,
    DEFAULT_REPETITIONS,
    DEFAULT_SEED,
    DEFAULT_SIZES,
    DEFAULT_THREADS,
)
from tracer.errors import RecordingError, UsageError
from tracer.runs.dispatch import record_run
from tracer.texts import counted

if TYPE_CHECKING:
    from tracer.study.sweep_plan import Plan, Sweep


def sweeps_of(directory: Path, repeat: int, no_run: bool) -> list[Sweep]:
    """The sweep in a directory and its repetitions below it; empty if there is none and none may be run.

    Raises:
        RecordingError: one is missing and may not be run, or is damaged.
        Interrupted: what was measured until then is safe; the same command goes on.
    """
    if no_run:
        return _those_there(directory, repeat)
    first = _whole(directory, _default_plan())
    return [first, *(_whole(*_repetition(directory, first.manifest.plan, number)) for number in range(2, repeat + 1))]


def _place(directory: Path, number: int) -> Path:
    return directory if number == 1 else directory / f"repeat-{number}"


def _repetition(directory: Path, plan: Plan, number: int) -> tuple[Path, Plan]:
    """The same plan in another order, so that what hangs on the order does not repeat itself."""
    import msgspec

    return _place(directory, number), msgspec.structs.replace(plan, seed=plan.seed + number - 1)


def _those_there(directory: Path, repeat: int) -> list[Sweep]:
    from tracer.study.sweep_file import MANIFEST, load_sweep

    places = [_place(directory, number) for number in range(1, repeat + 1)]
    missing = [place for place in places if not (place / MANIFEST).exists()]
    if missing == places and directory == DEFAULT_DIRECTORY and repeat == 1:
        return []
    if missing:
        raise RecordingError(f"there is no sweep in {missing[0]}", f"{MANIFEST} is missing", "leave out --no-run")
    return [_not_twice(load_sweep(place), place) for place in places]


def _whole(directory: Path, otherwise: Plan) -> Sweep:
    """The sweep of a directory after the runs that it lacks; by another plan where it has none."""
    from tracer.study.sweep import sweep
    from tracer.study.sweep_file import MANIFEST, has_runs, load_sweep, read_manifest
    from tracer.study.sweep_plan import jobs_left, jobs_of
    from tracer.study.trials import require_modes

    there = (directory / MANIFEST).exists()
    plan = read_manifest(directory).plan if there else otherwise
    found = load_sweep(directory) if there and has_runs(directory) else None
    if found is not None and _not_twice(found, directory).complete:
        return found
    left = len(jobs_left(plan, found.runs) if found else jobs_of(plan))
    lacks = (
        f"lacks {counted(left, 'run')}, which"
        if there
        else f"is not there yet; its {counted(left, 'run')}, of some 0.3 s each,"
    )
    note(f"the sweep in {directory} {lacks} are done now; --no-run prevents it")
    require_modes(plan, record_run)
    with progress_bar("sweep") as progress:
        return _not_twice(sweep(plan, directory, progress, record_run), directory)


def _not_twice(sweep: Sweep, directory: Path) -> Sweep:
    if sweep.manifest.plan.same_mode_twice:
        why = "it is an A/A check, which compares a mode with itself"
        raise UsageError(f"the sweep in {directory} settles no claim", why, "give the directory of an ordinary sweep")
    return sweep


def _default_plan() -> Plan:
    from tracer.study.sweep_plan import Plan

    return Plan(
        modes=DEFAULT_MODES.split(","),
        sizes=[int(size) for size in DEFAULT_SIZES.split(",")],
        threads=[int(threads) for threads in DEFAULT_THREADS.split(",")],
        repetitions=DEFAULT_REPETITIONS,
        seed=DEFAULT_SEED,
    )
