"""nettrace run MODE: the main job."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tracer.books.modes import MODES
from tracer.commands.completing import complete_modes
from tracer.commands.conditions import check_conditions
from tracer.commands.every_kernel import run_on_every_kernel
from tracer.commands.expect import expect_option
from tracer.commands.experiments import experiment_of, experiment_options
from tracer.commands.html import check_redact, html_option, redact_option, typed, write_run
from tracer.commands.options import ALL, FileToWrite, json_option
from tracer.commands.output import emit, exit_code, note
from tracer.commands.pictures import write_speedscope
from tracer.model import Document, Experiment

if TYPE_CHECKING:
    from tracer.books.expectations import Expectation


@dataclass(frozen=True)
class Asked:
    """What the command line asks for.

    Args:
        port: Port of the receiver; None where none is asked for.
        save: Where the recording goes.
        folded: Where the CPU profile's stacks go.
        copy_stacks: Where the stacks of the copies go.
        speedscope: Where both go, in one file.
        html: Where the page goes; redact: without addresses, users and command lines.
    """

    experiment: Experiment
    port: int | None
    as_json: bool
    save: Path | None
    folded: Path | None
    copy_stacks: Path | None
    speedscope: Path | None
    html: Path | None
    redact: bool
    expected: list[Expectation]

    @property
    def files(self) -> dict[str, Path]:
        """Files to write, by the option that names them."""
        named = {"--save": self.save, "--folded": self.folded, "--copy-stacks": self.copy_stacks}
        named |= {"--speedscope": self.speedscope, "--html": self.html}
        return {option: path for option, path in named.items() if path is not None}

    @classmethod
    def parsed(cls, mode: str, given: dict[str, Any]) -> Asked:
        """From the options as click gives them, by their names.

        Raises:
            UsageError: options that exclude each other, or that only another link or machine could honour.
        """
        from tracer.books.expectations import ZEROCOPY, parse_expectation
        from tracer.machine.files import require_writable

        outputs = {name: given.pop(name) for name in ("save", "folded", "copy_stacks", "speedscope")}
        outputs["html"] = given.pop("html_path")
        others = {name: given.pop(name) for name in ("port", "as_json", "redact", "expected")}
        if given.pop("expect_zerocopy"):
            others["expected"].append(parse_expectation(ZEROCOPY))
        check_redact(others["redact"], outputs["html"])
        asked = cls(experiment=_experiment(mode, given, outputs), **outputs, **others)
        check_conditions(asked.experiment, port=asked.port, files=asked.files)
        for path in asked.files.values():
            require_writable(path)
        return asked


def _experiment(mode: str, given: dict[str, Any], outputs: dict[str, Path | None]) -> Experiment:
    return experiment_of(
        mode,
        {
            **given,
            "stacks": given["stacks"] or outputs["copy_stacks"] is not None,
            "profile": given["profile"] or bool(outputs["folded"] or outputs["speedscope"]),
        },
    )


class WithModes(click.Command):
    """Lists the modes in its help."""

    modes = tuple((mode.name, mode.summary) for mode in MODES)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Below the options, as a group lists its commands."""
        super().format_options(ctx, formatter)
        with formatter.section("Modes"):
            formatter.write_dl(self.modes)


@click.command(cls=WithModes)
@click.argument("mode", shell_complete=complete_modes)
@experiment_options(every=True)
@click.option("--stacks", is_flag=True, help="Collect the kernel stacks that led to each copy.")
@click.option("--counters", is_flag=True, help="Count cycles, switches, misses of the bare pass with perf stat.")
@click.option("--profile", is_flag=True, help="Sample the CPUs in a third pass: CPU time by stage.")
@click.option("--folded", type=FileToWrite(), help="Write the profile's stacks for a flame graph; implies --profile.")
@click.option(
    "--copy-stacks",
    type=FileToWrite(),
    help="Write the stacks of --stacks folded, with their bytes, for a flame graph; implies it.",
)
@click.option(
    "--speedscope", type=FileToWrite(), help="Write the stacks for the viewer of that name; implies --profile."
)
@click.option("--port", type=click.IntRange(0, 65535), help="Port of the receiver. [default: any free one]")
@click.option("--verify", is_flag=True, help="The receiver checks every byte; slower.")
@json_option
@click.option("--save", type=FileToWrite(), help="Save the recording, for nettrace report.")
@html_option
@redact_option()
@click.option("--expect-zerocopy", is_flag=True, help="Short for --expect 'zerocopy real'.")
@expect_option
@click.pass_context
def command(ctx: click.Context, /, mode: str, **given: Any) -> None:
    """Send a payload in MODE and show where every byte was copied.

    The same work is done twice: a bare pass for time and CPU, an observed pass for bytes.
    """
    ctx.exit(_run(Asked.parsed(mode, given), typed(ctx)))


def _run(asked: Asked, command: str) -> int:
    if asked.experiment.lab == ALL:
        return run_on_every_kernel(asked.experiment, asked.as_json, asked.expected)
    from tracer.books.analysis import document_of
    from tracer.runs.dispatch import record

    document = document_of(record(asked.experiment, note, port=asked.port or 0))
    try:
        emit(document, asked.as_json)
    finally:
        # Also after `nettrace run --save FILE | head -1`; and not before, because a full disk costs the file alone.
        _write_files(document, asked, command)
    return exit_code(document, asked.expected)


def _write_files(document: Document, asked: Asked, command: str) -> None:
    """Each file that was asked for; one for which there is nothing is named."""
    if asked.save is not None:
        from tracer.machine.recordings import save

        save(document, asked.save)
        note(f"saved {asked.save}")
    write_run(document, asked.html, hide=asked.redact, typed=command)
    if asked.speedscope is not None:
        write_speedscope(document, asked.speedscope, command)
    if asked.folded is not None:
        _write_folded(_profile_text(document), asked.folded, "the profiled pass did not come to its end")
    if asked.copy_stacks is not None:
        from tracer.reports.stacks import folded_copies

        _write_folded(folded_copies(document), asked.copy_stacks, "no stack that led to a copy was collected")


def _profile_text(document: Document) -> str:
    from tracer.reports.costs import folded_text

    return folded_text(document.profile) if document.profile is not None else ""


def _write_folded(text: str, path: Path, why_not: str) -> None:
    if not text:
        note(f"{path} is not written: {why_not}")
        return
    from tracer.machine.files import write_file

    write_file(path, text.encode())
    note(f"wrote {path}, for a flame graph")
