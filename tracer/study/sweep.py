"""Does the runs of a sweep, one after the other."""

from __future__ import annotations

import datetime
import importlib.metadata
import platform
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from tracer.books.recording import give_to_invoking_user
from tracer.errors import Interrupted, MachineError
from tracer.machine.links import open_link
from tracer.model import CpuProfile, Experiment, Host, Recording
from tracer.runs.runner import read_host, record
from tracer.study.sweep_file import append_run, load_sweep, open_sweep
from tracer.study.sweep_plan import SWEEP_SCHEMA, Job, Manifest, Plan, Run, Sweep, experiment_of, jobs_left, jobs_of

Recorder = Callable[[Experiment, bool], Recording]
"""Does one run: of an experiment, with an observed pass or without."""


def record_run(experiment: Experiment, observed: bool) -> Recording:
    """One run of a sweep; nobody listens to its progress."""
    return record(experiment, _silent, observed=observed)


def _silent(_: str) -> None:
    pass


def manifest_of(plan: Plan, recorder: Recorder) -> Manifest:
    """The manifest of a sweep that begins now."""
    libraries = ("nettrace-copies", "scipy", "numpy", "pandas")
    versions = {name: importlib.metadata.version(name) for name in libraries}
    return Manifest(
        schema=SWEEP_SCHEMA,
        plan=plan,
        host=_host_of(plan, recorder),
        started=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        versions={"python": platform.python_version(), **versions},
    )


def _host_of(plan: Plan, recorder: Recorder) -> Host:
    if plan.lab is not None:  # only the guest knows what it is
        asked = Experiment(mode=plan.modes[0], size=1, messages=1, link=plan.link, lab=plan.lab, setup=plan.setup)
        return recorder(asked, False).host
    with open_link(plan.link, plan.peer) as link:
        return read_host(link)


def run_jobs(plan: Plan, jobs: list[Job], recorder: Recorder = record_run) -> Iterator[Run]:
    """Do these runs; each is yielded when it is done.

    Raises:
        Interrupted: by SIGINT; the run that was going on is dropped.
        NettraceError: a run failed.
    """
    for job in jobs:
        recording = recorder(experiment_of(plan, job), job.repetition == 0)
        if not recording.complete:
            raise Interrupted("interrupted in the middle of a run", fix="start it again")
        yield Run(label=job.cell.label, repetition=job.repetition, order=job.order, recording=_light(recording))


def _light(recording: Recording) -> Recording:
    """Without the folded stacks, which are a hundred times the rest and of use to no table."""
    profile = recording.profile
    if profile is None:
        return recording
    slim: CpuProfile = msgspec.structs.replace(profile, folded={})
    return msgspec.structs.replace(recording, profile=slim)


def measure(plan: Plan, progress: Callable[[int, int], None], recorder: Recorder = record_run) -> Sweep:
    """A whole sweep in memory, for nettrace compare.

    Args:
        progress: Called with the runs done and all runs.

    Raises:
        Interrupted: by SIGINT; nothing is kept.
        NettraceError: a run failed.
    """
    manifest, runs, jobs = manifest_of(plan, recorder), [], jobs_of(plan)
    try:
        for run in run_jobs(plan, jobs, recorder):
            runs.append(run)
            progress(len(runs), len(jobs))
    except (KeyboardInterrupt, Interrupted) as error:
        done = f"interrupted: {len(runs)} of {len(jobs)} runs were done, and a comparison takes them all"
        raise Interrupted(done, fix="run it again, or nettrace sweep, which goes on where it was") from error
    return Sweep(manifest=manifest, runs=runs)


def sweep(plan: Plan, directory: Path, progress: Callable[[int, int], None], recorder: Recorder = record_run) -> Sweep:
    """Do a sweep, or what is left of it, into a directory.

    Raises:
        Interrupted: what was measured until then is in the directory; the same call goes on.
        UsageError: the directory holds another sweep.
        NettraceError: a run failed.
    """
    manifest = manifest_of(plan, recorder)
    with open_sweep(directory, manifest) as (done, file):
        jobs = jobs_left(plan, done)
        total = len(jobs_of(plan))
        progress(total - len(jobs), total)
        try:
            for index, run in enumerate(run_jobs(plan, jobs, recorder), start=1):
                append_run(file, run)
                progress(total - len(jobs) + index, total)
        except (KeyboardInterrupt, Interrupted) as error:
            left = len(jobs_left(plan, load_sweep(directory).runs)) if file.tell() else total
            raise Interrupted(
                f"interrupted: {total - left} of {total} runs are safe in {directory}",
                fix="the same command goes on from there",
            ) from error
    finished = load_sweep(directory)
    write_tables(finished, directory)
    return finished


def write_tables(finished: Sweep, directory: Path) -> None:
    """runs.parquet, runs.csv (one row a run) and summary.csv (medians with intervals).

    Raises:
        MachineError: the disk is full or the directory cannot be written.
    """
    from tracer.study.sweep_tables import summary_of, table_of

    table = table_of(finished)
    try:
        table.to_parquet(directory / "runs.parquet", index=False)
        table.to_csv(directory / "runs.csv", index=False)
        summary_of(finished.runs).to_csv(directory / "summary.csv", index=False)
        for name in ("runs.parquet", "runs.csv", "summary.csv"):
            give_to_invoking_user(directory / name)
    except OSError as error:
        raise MachineError(f"cannot write to {directory}", error.strerror or str(error), "free some space") from error
