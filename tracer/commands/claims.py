"""nettrace claims: a verdict on each claim of the source study."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tracer.commands.claim_sweeps import sweeps_of
from tracer.commands.conditions import require_files
from tracer.commands.html import html_option, typed, write_page
from tracer.commands.options import FileToWrite, lab_option
from tracer.commands.output import note, write_json
from tracer.commands.sweep import DEFAULT_DIRECTORY, DEFAULT_MODES
from tracer.errors import Interrupted, NettraceError, UsageError

if TYPE_CHECKING:
    from tracer.books.perf_attempt import PerfAttempt
    from tracer.model import Experiment, Recording
    from tracer.study.claim_rules.findings import Evidence, Ruling
    from tracer.study.sweep_plan import Sweep

# An emulated CPU sends some 100 MiB a minute.
_LAB_SIZE, _LAB_MESSAGES = 16384, 401
RECORDINGS = "recordings"


@click.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False), default=DEFAULT_DIRECTORY)
@click.option(
    "--recording", "files", type=click.Path(path_type=Path), multiple=True, help="Judge from this one too; repeatable."
)
@lab_option
@click.option(
    "--repeat",
    type=click.IntRange(1, 100),
    default=1,
    show_default=True,
    help="Sweep so many times; a verdict that not every sweep comes to is none.",
)
@click.option("--no-run", is_flag=True, help="Judge from what is there; run nothing.")
@click.option(
    "--lower-paranoid",
    is_flag=True,
    help="For S18: lower kernel.perf_event_paranoid to 1 for a moment, and put it back.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of the report.")
@html_option
@click.option("--markdown", type=FileToWrite(), help="Also write a report with the plots.")
@click.pass_context
def command(
    ctx: click.Context,
    directory: Path,
    files: tuple[Path, ...],
    lab: str | None,
    repeat: int,
    no_run: bool,
    lower_paranoid: bool,
    as_json: bool,
    html_path: Path | None,
    markdown: Path | None,
) -> None:
    """Settle S1 to S18 of the source study, and F1 to F4 of the field, from the sweep in DIRECTORY.

    It runs it first, or the rest of it, where it is missing.

    With --lab, the claims about a NIC are put to the test in a virtual machine; its times decide nothing.
    """
    from tracer.reports.claims import encode_claims, print_claims
    from tracer.reports.tables import make_console
    from tracer.study.claims import judge
    from tracer.study.standing import standing

    _check_options(no_run, lab, lower_paranoid)
    require_files({"--markdown": markdown, "--html": html_path})
    given = _load_all(files)
    sweeps = sweeps_of(directory, repeat, no_run)
    recordings = given + _load_all(sorted((directory / RECORDINGS).glob("*.json")))
    missing: dict[str, str] = {}
    if not no_run:
        recordings += _record_here(directory, recordings, missing)
    if lab is not None and not no_run:
        recordings += _record_missing(directory, _lab_experiments(lab), recordings)
    perf = _try_perf(no_run, lower_paranoid)
    evidence = [_evidence_of(sweep, recordings, perf, missing) for sweep in (sweeps or (None,))]
    rulings = standing([judge(one) for one in evidence])
    notes = _notes(sweeps, evidence[0])
    if markdown is not None:
        _write_report(sweeps[0] if sweeps else None, markdown, rulings, notes)
    # Also where nobody reads the screen to its end: nettrace claims --html FILE | head -1
    if html_path is not None:
        from tracer.reports.html.of_study import page_of_claims

        write_page(page_of_claims(rulings, notes, sweeps[0] if sweeps else None, typed(ctx)), html_path)
    if as_json:
        write_json(encode_claims(rulings, notes))
    else:
        print_claims(rulings, notes, make_console(sys.stdout))


def _check_options(no_run: bool, lab: str | None, lower_paranoid: bool) -> None:
    """No option is ignored in silence."""
    for option, given in (("--lab", lab is not None), ("--lower-paranoid", lower_paranoid)):
        if no_run and given:
            raise UsageError(f"--no-run and {option} exclude each other", f"{option} runs something", "leave one out")


def _load_all(files: tuple[Path, ...] | list[Path]) -> list[Recording]:
    from tracer.machine.recordings import load

    return [load(path) for path in files]


def _evidence_of(
    sweep: Sweep | None,
    recordings: list[Recording],
    perf: tuple[list[PerfAttempt] | None, str],
    refused: dict[str, str],
) -> Evidence:
    from tracer.study.claim_rules.findings import Evidence

    attempts, why = perf
    rest = "" if sweep is None or sweep.complete else "the rest of this sweep: the same command without --no-run"
    missing = {name: text for name, text in (("perf", why), ("sweep", rest)) if text}
    return Evidence(sweep.runs if sweep else [], recordings, attempts, {**refused, **missing})


def _try_perf(no_run: bool, lower_paranoid: bool) -> tuple[list[PerfAttempt] | None, str]:
    from tracer.machine.perf_trial import try_perf

    return (None, "perf was not tried: --no-run") if no_run else try_perf(lower_paranoid)


def _lab_experiments(kernel: str) -> list[Experiment]:
    """What the claims on a NIC take: each mode as it should be, and the cases in which a second copy is real."""
    from tracer.model import Experiment, Link

    ways = [
        *((mode, True, False) for mode in DEFAULT_MODES.split(",")),
        *((mode, True, False) for mode in ("sendfile", "uring-zerocopy")),
        *((mode, False, False) for mode in ("twocopy", "zerocopy", "sendfile")),
        *((mode, True, True) for mode in ("twocopy", "zerocopy")),
    ]
    return [
        Experiment(
            mode=mode, size=_LAB_SIZE, messages=_LAB_MESSAGES, link=Link.NIC, scatter_gather=gathers, bounce=bounce,
            lab=kernel,
        )
        for mode, gathers, bounce in ways
    ]  # fmt: skip


def _experiments_here() -> list[Experiment]:
    """What the claims of the field take beside a sweep of the three modes that the study asked about."""
    import msgspec

    from tracer.model import Experiment

    sendfile, uring = (Experiment(mode=mode, size=_LAB_SIZE) for mode in ("sendfile", "uring-zerocopy"))
    return [sendfile, msgspec.structs.replace(uring, profile=True)]


def _record_here(directory: Path, recordings: list[Recording], missing: dict[str, str]) -> list[Recording]:
    """One that this machine cannot do leaves its claim open, and the others go on; `missing` then says why."""
    found = []
    for experiment in _experiments_here():
        try:
            found += _record_missing(directory, [experiment], recordings)
        except Interrupted:
            raise
        except NettraceError as error:
            missing["field"] = f"{experiment.mode} on this machine: {error.what}, {error.why}"
    return found


def _record_missing(directory: Path, wanted: list[Experiment], recordings: list[Recording]) -> list[Recording]:
    """The recordings that are not there yet; saved, so that the next call has them."""
    from tracer.machine.recordings import save
    from tracer.runs.dispatch import record

    (directory / RECORDINGS).mkdir(parents=True, exist_ok=True)
    there = {_key(recording.experiment) for recording in recordings}
    found = []
    for experiment in wanted:
        if _key(experiment) not in there:
            recording = record(experiment, note)
            save(recording, directory / RECORDINGS / f"{_name(experiment)}.json")
            found.append(recording)
    return found


def _key(experiment: Experiment) -> tuple[object, ...]:
    return experiment.lab, experiment.mode, experiment.link, experiment.scatter_gather, experiment.bounce


def _name(experiment: Experiment) -> str:
    special = "-no-sg" * (not experiment.scatter_gather) + "-bounce" * experiment.bounce
    where = "here" if experiment.lab is None else f"lab-{experiment.lab}"
    return f"{where}-{experiment.link}-{experiment.mode}{special}"


def _notes(sweeps: list[Sweep], evidence: Evidence) -> list[str]:
    notes = list(dict.fromkeys(text for sweep in sweeps for text in sweep.notes))
    if len(sweeps) > 1:
        notes.append(f"cases and pictures are of the first of {len(sweeps)} sweeps")
    if not sweeps:
        notes.append("no sweep: claims on time and CPU are not decided")
    if evidence.untrustworthy:
        notes.append(f"{evidence.untrustworthy} recordings are not trustworthy, and decide nothing on bytes")
    if evidence.emulated:
        notes.append("recordings of an emulated CPU decide claims on bytes alone")
    return notes


def _write_report(sweep: Sweep | None, path: Path, rulings: list[Ruling], notes: list[str]) -> None:
    from tracer.machine.files import write_file
    from tracer.reports.claims import write_markdown

    pictures: list[Path] = []
    if sweep is not None:
        from tracer.reports.plots import draw_all

        pictures, skipped = draw_all(sweep, path.parent / f"{path.stem}-plots")
        notes = [*notes, *(f"not drawn: {text}" for text in skipped)]
    write_file(path, write_markdown(rulings, notes, pictures, path).encode())
    note(f"wrote {path}")
