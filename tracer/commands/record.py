"""nettrace record: somebody's own program, unchanged, and what its sockets did."""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tracer.commands.conditions import require_files
from tracer.commands.expect import code_of, expect_option
from tracer.commands.html import check_redact, html_option, redact_option, typed, write_sockets
from tracer.commands.options import FileToWrite, by_option, lab_option, top_option, watch_option
from tracer.commands.output import note

if TYPE_CHECKING:
    from tracer.books.expectations import Expectation
    from tracer.machine.commands import User
    from tracer.model.socket_recording import SocketRecording
    from tracer.runs.subjects.command import Order


@click.command(context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False})
@click.option("-o", "--save", "save_path", type=FileToWrite(), help="Write the recording to a file.")
@click.option(
    "--json",
    "json_path",
    type=FileToWrite(),
    metavar="FILE",
    help="Write it as JSON, with ledgers and laws.",
)
@click.option("--user", metavar="NAME", help="Run CMD as this user. [default: whoever called sudo]")
@watch_option("; CMD goes on")
@click.option("--wait", is_flag=True, help="Watch until the last descendant of CMD has ended.")
@click.option("--peers", is_flag=True, help="Watch the other ends of its TCP connections too, on this machine.")
@click.option("--profile", is_flag=True, help="Sample its CPU time by stage, while it is watched.")
@html_option
@redact_option()
@by_option
@top_option
@expect_option
@lab_option
@click.argument("argv", metavar="-- CMD [ARGS]...", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_context
def command(
    ctx: click.Context, save_path: Path | None, json_path: Path | None, user: str | None, duration: float | None,
    wait: bool, peers: bool, profile: bool, html_path: Path | None, redact: bool, by: str, top: int,
    expected: list[Expectation], lab: str | None, argv: tuple[str, ...],
) -> None:  # fmt: skip
    """Run CMD unchanged, and show where its payload bytes were copied.

    Every TCP and UDP socket of CMD and its descendants is counted, from CMD's first instruction on. CMD keeps its
    terminal, its signals and its exit code, which becomes nettrace's; the report goes to stderr after it. Unix
    sockets are told by their calls alone.
    """
    from tracer.machine.commands import end_as
    from tracer.machine.streams import may_be_lost
    from tracer.reports.socket_lists import View
    from tracer.reports.sockets import print_sockets
    from tracer.reports.tables import make_console
    from tracer.runs.subjects.command import Order

    require_files({"--save": save_path, "--json": json_path, "--html": html_path})
    check_redact(redact, html_path)
    order = Order(list(argv), None, duration, wait, peers, profile)
    recording = recorded(order, user, lab)
    try:
        # It ends as the command did, also where nobody can be told any more.
        with may_be_lost(2):
            print_sockets(recording, make_console(sys.stderr), View(by, top))
    finally:
        # Not before: a full disk costs the file alone.
        _write(recording, save_path, json_path)
        write_sockets(recording, html_path, by, hide=redact, typed=typed(ctx))
    with may_be_lost(2):
        code = code_of(expected, recording)
    # What the command itself says of its end goes before what was expected of it.
    ctx.exit(end_as(recording.subject.exit_status) if recording.subject.exit_status else code)


def recorded(order: Order, user: str | None, lab: str | None) -> SocketRecording:
    """Done, here or in the lab.

    Args:
        user: Name of whom the command runs as; None for whoever called sudo.
        lab: Name of the lab's kernel.
    """
    return _here(order, user) if lab is None else _in_lab(lab, order, user)


def _here(order: Order, name: str | None) -> SocketRecording:
    from tracer.runs.command import record_command

    return record_command(dataclasses.replace(order, user=user_of(order.argv[0], name)), note)


def user_of(program: str, name: str | None) -> User | None:
    """Whom a program is run as: the user of that name, else whoever called sudo; None for whoever runs this.

    Raises:
        UsageError: there is none of that name.
        PrivilegeError: this user may not become another one.
    """
    from tracer.machine.commands import User
    from tracer.machine.privilege import require
    from tracer.machine.users import user_name

    user = User.named(name) if name is not None else User.invoking()
    if user is not None and user.uid != os.geteuid():
        require(f"cannot run {program} as {user_name(user.uid)}", "CAP_SETUID", "CAP_SETGID")
    return user


def _in_lab(kernel: str, order: Order, user: str | None) -> SocketRecording:
    from tracer.runs.command_in_lab import record_in_lab

    return record_in_lab(kernel, order, user, note)


def _write(recording: SocketRecording, save_path: Path | None, json_path: Path | None) -> None:
    from tracer.books.socket_file import SPELLED_OUT, document_of_sockets, encode_sockets
    from tracer.machine.files import write_file

    if save_path is not None:
        write_file(save_path, encode_sockets(recording))
    if json_path is not None:
        write_file(json_path, document_of_sockets(recording, SPELLED_OUT))
