"""nettrace report FILE: shows a recording again, on any machine, without root."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click
from click.core import ParameterSource

from tracer.commands.conditions import require_files
from tracer.commands.expect import code_of, expect_option
from tracer.commands.html import html_option, redact_option, write_run, write_sockets
from tracer.commands.options import FileToWrite, by_option, top_option
from tracer.commands.output import books_code, emit, exit_code, trust_code, write_json
from tracer.commands.pictures import write_speedscope
from tracer.errors import UsageError

if TYPE_CHECKING:
    from tracer.books.expectations import Expectation
    from tracer.model import Document, Recording
    from tracer.model.socket_recording import SocketRecording


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the document as JSON, derived anew.")
@click.option("--csv", "as_csv", is_flag=True, help="Print its sockets as CSV.")
@click.option(
    "--parquet",
    "parquet_path",
    type=FileToWrite(),
    help="Write its sockets to a Parquet file.",
)
@html_option
@click.option(
    "--speedscope",
    "speedscope_path",
    type=FileToWrite(),
    help="Write the stacks of --profile and --stacks to a file for speedscope.",
)
@redact_option("the report")
@by_option
@top_option
@expect_option
@click.pass_context
def command(
    ctx: click.Context, file: Path, as_json: bool, as_csv: bool, parquet_path: Path | None, html_path: Path | None,
    speedscope_path: Path | None, redact: bool, by: str, top: int, expected: list[Expectation],
) -> None:  # fmt: skip
    """Show the recording FILE, made with run --save or record -o.

    It ends with 5 where that cannot be trusted, as run and attach do: a law is broken, or events were lost.
    """
    from tracer.books.recording import decode
    from tracer.books.socket_file import is_of_sockets
    from tracer.machine.recordings import read

    _check_forms(ctx)
    require_files({"--html": html_path, "--speedscope": speedscope_path})
    _require_another(file, html_path, speedscope_path, parquet_path)
    forms = Forms(as_json, as_csv, parquet_path, html_path, speedscope_path, redact, by, top)
    data = read(file)
    if is_of_sockets(data):
        recording = _show_sockets(data, file, forms)
        ctx.exit(code_of(expected, recording) or books_code(recording))
    if options := _given(ctx, "by", "top"):
        why = "the ends of its connections are alike, and its screen sums them up"
        raise UsageError(f"{options[0]}: {file} is of a run", why, f"drop {options[0]}, or take --csv")
    run = decode(data, str(file))
    if (options := _given(ctx, "as_csv", "parquet_path")) and not run.sockets:
        why = "functions alone were watched, or it is of a version that kept none"
        raise UsageError(f"{options[0]}: {file} holds no sockets", why, f"drop {options[0]}")
    document = _show_run(run, file, forms)
    ctx.exit(exit_code(document, expected) if expected else trust_code(document))


class Forms(NamedTuple):
    """What is to be shown, as what and where."""

    as_json: bool
    as_csv: bool
    parquet: Path | None
    html: Path | None
    speedscope: Path | None
    hide: bool
    by: str
    top: int


def _show_run(recording: Recording, file: Path, forms: Forms) -> Document:
    from tracer.books.analysis import document_of
    from tracer.reports.redaction import redacted

    document = document_of(redacted(recording) if forms.hide else recording)
    if forms.html is not None:
        write_run(recording, forms.html, hide=forms.hide)
    elif forms.speedscope is not None:
        write_speedscope(document, forms.speedscope, file.name)
    elif not _written_as_table(document, forms):
        emit(document, forms.as_json)
    return document


def _written_as_table(recording: Recording | SocketRecording, forms: Forms) -> bool:
    """Whether its sockets were asked for as a table for other tools."""
    from tracer.reports.socket_tables import write_csv, write_parquet

    if forms.parquet is not None:
        write_parquet(recording.sockets, forms.parquet)
    elif forms.as_csv:
        write_csv(recording.sockets, sys.stdout)
    return forms.as_csv or forms.parquet is not None


def _check_forms(ctx: click.Context) -> None:
    forms = _given(ctx, "as_json", "as_csv", "parquet_path", "html_path", "speedscope_path")
    if len(forms) > 1:
        raise UsageError(f"{forms[0]} and {forms[1]} exclude each other", "a report has one form", f"drop {forms[1]}")
    if forms and forms != ["--html"] and _given(ctx, "by"):
        raise UsageError(f"--by and {forms[0]} exclude each other", "it groups what the screen shows", "drop --by")


def _require_another(file: Path, *written: Path | None) -> None:
    """The recording itself is not written over."""
    for path in written:
        if path is not None and path.exists() and file.exists() and path.samefile(file):
            raise UsageError(f"{path} is the recording that is to be reported", "it would be lost", "name another file")


def _given(ctx: click.Context, *names: str) -> list[str]:
    """Those of these options that the user wrote."""
    options = {parameter.name: parameter.opts[0] for parameter in ctx.command.params}
    return [options[name] for name in names if ctx.get_parameter_source(name) is not ParameterSource.DEFAULT]


def _show_sockets(data: bytes, file: Path, forms: Forms) -> SocketRecording:
    from tracer.books.socket_file import decode_sockets, document_of_sockets
    from tracer.reports.redaction import redacted
    from tracer.reports.socket_lists import View
    from tracer.reports.sockets import print_sockets
    from tracer.reports.tables import make_console

    recorded = decode_sockets(data, str(file))
    recording = redacted(recorded) if forms.hide else recorded
    if forms.html is not None:
        write_sockets(recorded, forms.html, forms.by, hide=forms.hide)
    elif forms.speedscope is not None:
        write_speedscope(recording, forms.speedscope, file.name)
    elif forms.as_json:
        write_json(document_of_sockets(recording, forms.top).decode())
    elif not _written_as_table(recording, forms):
        print_sockets(recording, make_console(sys.stdout), View(forms.by, forms.top))
    return recording
