"""--html and --redact: the options, and how a page gets into its file."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tracer.commands.options import FileToWrite
from tracer.commands.output import note
from tracer.errors import UsageError

if TYPE_CHECKING:
    from tracer.model import Recording
    from tracer.model.socket_recording import SocketRecording
    from tracer.reports.html.page import Page

html_option = click.option(
    "--html",
    "html_path",
    type=FileToWrite(),
    metavar="FILE",
    help="Also write the report as one page for a browser, complete in itself.",
)


def redact_option(where: str = "that page") -> Callable[..., Any]:
    """--redact, with what it is left out of."""
    return click.option(
        "--redact", is_flag=True, help=f"Leave addresses, users and command lines out of {where}."
    )  # fmt: skip


def check_redact(redact: bool, html_path: Path | None) -> None:
    """No option is ignored in silence."""
    if redact and html_path is None:
        raise UsageError("--redact needs --html", "it is of that page alone", "add --html FILE, or drop --redact")


def write_run(recording: Recording, path: Path | None, *, hide: bool, typed: str = "") -> None:
    """The page of a run, if one is wanted.

    Args:
        typed: The command; empty where it is to be derived from the recording.
    """
    if path is None:
        return
    from tracer.reports.html.of_run import page_of_run

    write_page(_with_command(page_of_run(recording, hide=hide), typed), path)


def write_sockets(recording: SocketRecording, path: Path | None, by: str, *, hide: bool, typed: str = "") -> None:
    """The page of a program's sockets, if one is wanted."""
    if path is None:
        return
    from tracer.reports.html.of_sockets import page_of_sockets

    write_page(_with_command(page_of_sockets(recording, by, hide=hide), typed), path)


def _with_command(page: Page, typed: str) -> Page:
    """As it was typed, unless that is to be hidden."""
    return page._replace(command=typed) if typed and not page.is_redacted else page


def write_page(page: Page, path: Path) -> None:
    """A page, whole or not at all.

    Raises:
        MachineError: the disk is full, or it may not be written.
    """
    from tracer.machine.files import write_file
    from tracer.reports.html.page import render

    write_file(path, render(page))
    note(f"wrote {path}, for a browser")


def typed(ctx: click.Context) -> str:
    """The command as it was typed; empty where nobody did."""
    return shlex.join(["nettrace", *ctx.obj]) if ctx.obj else ""
