"""nettrace claims: a verdict on each claim of the source study."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tracer.commands.options import progress_bar
from tracer.commands.output import note
from tracer.commands.recorder import lab_option, record_run
from tracer.commands.run import check_writable
from tracer.commands.sweep import DEFAULT_DIRECTORY, DEFAULT_MODES, DEFAULT_SEED, DEFAULT_SIZES, DEFAULT_THREADS
from tracer.errors import RecordingError, UsageError

if TYPE_CHECKING:
    from tracer.model import Experiment, Recording
    from tracer.study.claim_rules.findings import Evidence, Ruling
    from tracer.study.sweep_plan import Plan, Sweep

# An emulated CPU sends some 100 MiB a minute.
_LAB_SIZE, _LAB_MESSAGES = 16384, 401
RECORDINGS = "recordings"


@click.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False), default=DEFAULT_DIRECTORY)
@click.option(
    "--recording", "files", type=click.Path(path_type=Path), multiple=True, help="Judge from this one too; repeatable."
)
@lab_option
@click.option("--no-run", is_flag=True, help="Judge from what is there; run nothing.")
@click.option(
    "--lower-paranoid",
    is_flag=True,
    help="For S18: lower kernel.perf_event_paranoid to 1 for a moment, and put it back.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of the report.")
@click.option("--markdown", type=click.Path(path_type=Path, dir_okay=False), help="Also write a report with the plots.")
def command(
    directory: Path,
    files: tuple[Path, ...],
    lab: str | None,
    no_run: bool,
    lower_paranoid: bool,
    as_json: bool,
    markdown: Path | None,
) -> None:
    """Settle the claims S1 to S18 from the sweep in DIRECTORY; runs it first, or the rest of it, where it is missing.

    With --lab, the claims about a NIC are put to the test in a virtual machine; its times decide nothing.
    """
    from tracer.reports.claims import encode_claims, print_claims
    from tracer.reports.terminal import make_console
    from tracer.study.claims import judge

    if markdown is not None:
        check_writable(markdown)
    given = _load_all(files)
    sweep = _sweep_of(directory, no_run)
    recordings = given + _load_all(sorted((directory / RECORDINGS).glob("*.json")))
    if lab is not None and not no_run:
        recordings += _record_in_lab(directory, lab, recordings)
    rulings = judge(evidence := _evidence(sweep, recordings, None if no_run else lower_paranoid))
    notes = _notes(sweep, evidence)
    if markdown is not None:
        _write_report(sweep, markdown, rulings, notes)
    if as_json:
        sys.stdout.write(encode_claims(rulings, notes))
    else:
        print_claims(rulings, notes, make_console(sys.stdout))


def _load_all(files: tuple[Path, ...] | list[Path]) -> list[Recording]:
    from tracer.books.recording import load

    return [load(path) for path in files]


def _sweep_of(directory: Path, no_run: bool) -> Sweep | None:
    """The sweep that is there, made whole if it may be; None if there is none and none may be run."""
    from tracer.study.sweep_file import MANIFEST, has_runs, load_sweep, read_manifest

    there = (directory / MANIFEST).exists()
    if no_run:
        if not there and directory != DEFAULT_DIRECTORY:
            raise RecordingError(f"there is no sweep in {directory}", f"{MANIFEST} is missing", "leave out --no-run")
        return _not_twice(load_sweep(directory), directory) if there else None
    from tracer.study.sweep import sweep
    from tracer.study.sweep_plan import jobs_left, jobs_of

    plan = read_manifest(directory).plan if there else _default_plan()
    if there:
        found = load_sweep(directory) if has_runs(directory) else None
        if found is not None and found.complete:
            return _not_twice(found, directory)
        left = len(jobs_left(plan, found.runs) if found else jobs_of(plan))
        note(f"the sweep in {directory} lacks {left} runs, which are run now")
    else:
        note(f"there is no sweep in {directory}: running the default one, some five minutes; --no-run prevents it")
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
        repetitions=5,
        seed=DEFAULT_SEED,
    )


def _lab_experiments(kernel: str) -> list[Experiment]:
    """What the claims on a NIC take: each mode as it should be, and the two cases in which a second copy is real."""
    from tracer.model import Experiment, Link

    ways = [
        *((mode, True, False) for mode in DEFAULT_MODES.split(",")),
        *((mode, False, False) for mode in ("twocopy", "zerocopy")),
        *((mode, True, True) for mode in ("twocopy", "zerocopy")),
    ]
    return [
        Experiment(
            mode=mode, size=_LAB_SIZE, messages=_LAB_MESSAGES, link=Link.NIC, scatter_gather=gathers, bounce=bounce,
            lab=kernel,
        )
        for mode, gathers, bounce in ways
    ]  # fmt: skip


def _record_in_lab(directory: Path, kernel: str, recordings: list[Recording]) -> list[Recording]:
    """The lab's recordings that are not there yet; saved, so that the next call has them."""
    from tracer.books.recording import save
    from tracer.commands.recorder import record

    (directory / RECORDINGS).mkdir(parents=True, exist_ok=True)
    there = {_lab_key(recording.experiment) for recording in recordings}
    found = []
    for experiment in _lab_experiments(kernel):
        if _lab_key(experiment) not in there:
            recording = record(experiment)
            save(recording, directory / RECORDINGS / f"{_lab_name(experiment)}.json")
            found.append(recording)
    return found


def _lab_key(experiment: Experiment) -> tuple[object, ...]:
    return experiment.lab, experiment.mode, experiment.link, experiment.scatter_gather, experiment.bounce


def _lab_name(experiment: Experiment) -> str:
    special = "-no-sg" * (not experiment.scatter_gather) + "-bounce" * experiment.bounce
    return f"lab-{experiment.lab}-{experiment.link}-{experiment.mode}{special}"


def _evidence(sweep: Sweep | None, recordings: list[Recording], lower_paranoid: bool | None) -> Evidence:
    from tracer.machine.perf_trial import try_perf
    from tracer.study.claim_rules.findings import Evidence

    attempts, why = (None, "perf was not tried: --no-run") if lower_paranoid is None else try_perf(lower_paranoid)
    missing = {"perf": why} if why else {}
    return Evidence(sweep.runs if sweep else [], recordings, attempts, missing)


def _notes(sweep: Sweep | None, evidence: Evidence) -> list[str]:
    notes = list(sweep.notes) if sweep else ["no sweep: claims on time and CPU are not decided"]
    if evidence.untrustworthy:
        notes.append(f"{evidence.untrustworthy} recordings are not trustworthy, and decide nothing on bytes")
    if evidence.emulated:
        notes.append("recordings of an emulated CPU decide claims on bytes alone")
    return notes


def _write_report(sweep: Sweep | None, path: Path, rulings: list[Ruling], notes: list[str]) -> None:
    from tracer.reports.claims import write_markdown
    from tracer.study.sweep_file import write_whole

    pictures: list[Path] = []
    if sweep is not None:
        from tracer.reports.plots import draw_all

        pictures, skipped = draw_all(sweep, path.parent / f"{path.stem}-plots")
        notes = [*notes, *(f"not drawn: {text}" for text in skipped)]
    write_whole(path, write_markdown(rulings, notes, pictures, path).encode())
    note(f"wrote {path}")
