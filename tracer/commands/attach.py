"""nettrace attach: what runs already, and what its sockets do from now on."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tracer.commands.completing import complete_pids
from tracer.commands.conditions import require_files
from tracer.commands.expect import code_of, expect_option
from tracer.commands.html import check_redact, html_option, redact_option, typed, write_sockets
from tracer.commands.options import FileToWrite, by_option, top_option, watch_option
from tracer.commands.output import books_code, note
from tracer.errors import UsageError

if TYPE_CHECKING:
    from tracer.books.expectations import Expectation
    from tracer.model.socket_recording import SocketRecording
    from tracer.runs.attach import Target


@click.command()
@click.option(
    "-p",
    "--pid",
    "pids",
    multiple=True,
    metavar="PID",
    shell_complete=complete_pids,
    help="These processes, as pidof prints them.",
)
@click.option("--cgroup", metavar="PATH", help="All processes of a cgroup, and what is made in it.")
@click.option("--unit", metavar="NAME", help="All processes of a systemd unit.")
@watch_option()
@click.option("--no-children", is_flag=True, help="Leave out descendants of these processes.")
@by_option
@top_option
@click.option("-o", "--save", "save_path", type=FileToWrite(), help="Write the recording to a file.")
@html_option
@redact_option()
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON, with ledgers and laws.")
@expect_option
@click.argument("more", metavar="[PID]...", nargs=-1, shell_complete=complete_pids)
@click.pass_context
def command(
    ctx: click.Context, pids: tuple[str, ...], cgroup: str | None, unit: str | None, duration: float | None,
    no_children: bool, by: str, top: int, save_path: Path | None, html_path: Path | None, redact: bool,
    as_json: bool, expected: list[Expectation], more: tuple[str, ...],
) -> None:  # fmt: skip
    """Watch processes that run already, and show where their payload bytes are copied.

    Their TCP and UDP sockets are counted from now on, with those of their descendants and those that they make or
    accept later, until Ctrl-C, SIGTERM or their end. They are neither stopped nor read from, and notice nothing.

    Ctrl-C is the usual end: the report follows, with exit code 0, or 5 where the books do not balance.
    """
    require_files({"--save": save_path, "--html": html_path})
    check_redact(redact, html_path)
    target = target_of((*pids, *more), cgroup, unit, duration, not no_children)
    from tracer.runs.attach import attach_to

    recording = attach_to(target, note)
    try:
        _show(recording, save_path, as_json, (by, top))
    finally:
        write_sockets(recording, html_path, by, hide=redact, typed=typed(ctx))
    # Not "or": what was expected is told in any case.
    ctx.exit(code_of(expected, recording) or books_code(recording))


def target_of(
    words: tuple[str, ...], cgroup: str | None, unit: str | None, duration: float | None, children: bool
) -> Target:
    """What is attached to.

    Raises:
        UsageError: none is named, or more than one kind.
        MachineError: no cgroup2 hierarchy is mounted.
    """
    from tracer.machine import running
    from tracer.runs.attach import Target

    if [bool(words), cgroup is not None, unit is not None].count(True) != 1:
        why = "more than one is given" if words or cgroup or unit else "none is given: pidof has found none?"
        what = "one of -p PID, --cgroup PATH and --unit NAME is wanted"
        raise UsageError(what, why, "nettrace attach -p $(pidof PROGRAM)")
    path = running.cgroup_named(cgroup) if cgroup is not None else None
    path = running.cgroup_of_unit(unit) if unit is not None else path
    return Target(running.pids_of(words), path, children, duration, unit or cgroup)


def _show(recording: SocketRecording, save_path: Path | None, as_json: bool, view: tuple[str, int]) -> None:
    from tracer.books.socket_file import SPELLED_OUT, document_of_sockets, encode_sockets
    from tracer.commands.output import write_json
    from tracer.machine.files import write_file
    from tracer.reports.socket_lists import View
    from tracer.reports.sockets import print_sockets
    from tracer.reports.tables import make_console

    try:
        if as_json:
            write_json(document_of_sockets(recording, SPELLED_OUT).decode())
        else:
            print_sockets(recording, make_console(sys.stdout), View(*view))
    finally:
        # Also after `nettrace attach -o FILE | head -1`; and not before, because a full disk costs the file alone.
        if save_path is not None:
            write_file(save_path, encode_sockets(recording))
