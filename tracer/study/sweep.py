"""Does the runs of a sweep, one after the other."""

from __future__ import annotations

import datetime
import importlib.metadata
import platform
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from tracer.errors import Interrupted, MachineError, WorkloadError
from tracer.machine.files import write_file
from tracer.machine.links import open_link
from tracer.model import CpuProfile, Experiment, Host, Recording
from tracer.runs.runner import read_host
from tracer.study.hosts import difference_of_hosts
from tracer.study.sweep_file import append_run, load_sweep, open_sweep
from tracer.study.sweep_plan import SWEEP_SCHEMA, Job, Manifest, Plan, Run, Sweep, experiment_of, jobs_left, jobs_of
from tracer.texts import counted

Recorder = Callable[[Experiment, bool], Recording]
"""Does one run where its experiment says: with an observed pass or without."""


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
    with open_link(plan.link, plan.peer, ipv6=plan.ipv6) as link:
        return read_host(link)


def run_jobs(plan: Plan, jobs: list[Job], host: Host, recorder: Recorder) -> Iterator[Run]:
    """Do these runs; each is yielded when it is done.

    Args:
        host: What the machine was before.

    Raises:
        Interrupted: by SIGINT; the run that was going on is dropped.
        MachineError: the machine is not what it was; the run that saw it is dropped.
        NettraceError: a run failed.
    """
    for job in jobs:
        recording = recorder(experiment_of(plan, job), job.repetition == 0)
        if recording.stuck:
            raise WorkloadError("a run was given up", recording.stuck, "mend that, and start it again: it goes on")
        if difference := difference_of_hosts(host, recording.host):
            raise MachineError(
                "the machine changed while the runs went on", difference, "put it back and repeat the command"
            )
        host = recording.host
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


def measure(plan: Plan, progress: Callable[[int, int], None], recorder: Recorder) -> Sweep:
    """A whole sweep in memory, for nettrace compare.

    Args:
        progress: Called with the runs done and all runs.

    Raises:
        Interrupted: by SIGINT; nothing is kept.
        NettraceError: a run failed.
    """
    manifest, runs, jobs = manifest_of(plan, recorder), [], jobs_of(plan)
    try:
        for run in run_jobs(plan, jobs, manifest.host, recorder):
            runs.append(run)
            progress(len(runs), len(jobs))
    except (KeyboardInterrupt, Interrupted) as error:
        done = f"interrupted: {len(runs)} of {counted(len(jobs), 'run')} were done, and a comparison takes them all"
        raise Interrupted(done, fix="run it again, or nettrace sweep, which goes on where it was") from error
    return Sweep(manifest=manifest, runs=runs)


def sweep(plan: Plan, directory: Path, progress: Callable[[int, int], None], recorder: Recorder) -> Sweep:
    """Do a sweep, or what is left of it, into a directory.

    Raises:
        Interrupted: what was measured until then is in the directory; the same call goes on.
        UsageError: the directory holds another sweep.
        NettraceError: a run failed.
    """
    manifest = manifest_of(plan, recorder)
    with open_sweep(directory, manifest) as (done, file):
        jobs = jobs_left(plan, done)
        host = done[-1].recording.host if done else manifest.host
        total = len(jobs_of(plan))
        progress(total - len(jobs), total)
        try:
            for index, run in enumerate(run_jobs(plan, jobs, host, recorder), start=1):
                append_run(file, run)
                progress(total - len(jobs) + index, total)
        except (KeyboardInterrupt, Interrupted) as error:
            left = len(jobs_left(plan, load_sweep(directory).runs)) if file.tell() else total
            raise Interrupted(
                f"interrupted: {total - left} of {counted(total, 'run')} are safe in {directory}",
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
    write_file(directory / "runs.parquet", table.to_parquet(index=False))
    write_file(directory / "runs.csv", table.to_csv(index=False).encode())
    write_file(directory / "summary.csv", summary_of(finished.runs).to_csv(index=False).encode())
