"""nettrace record: somebody's own program, unchanged, and what its sockets did."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tracer.commands.options import lab_option
from tracer.commands.output import note
from tracer.errors import MachineError

if TYPE_CHECKING:
    from tracer.machine.commands import User
    from tracer.model_sockets import SocketRecording

# Sockets whose ledger and laws --json spells out.
_SPELLED_OUT = 100


@click.command(context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False})
@click.option(
    "-o", "--save", "save_path", type=click.Path(dir_okay=False, path_type=Path), help="Write the recording to a file."
)
@click.option(
    "--json",
    "json_path",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write it as JSON, with ledgers and laws.",
)
@click.option("--user", metavar="NAME", help="Run CMD as this user. [default: whoever called sudo]")
@click.option(
    "-d",
    "--duration",
    type=click.FloatRange(0, min_open=True),
    metavar="SECONDS",
    help="Watch for so long; CMD goes on.",
)
@click.option("--wait", is_flag=True, help="Watch until the last descendant of CMD has ended.")
@click.option(
    "--by",
    type=click.Choice(["program", "port", "peer", "link"]),
    default="program",
    show_default=True,
    help="Group the sockets.",
)
@click.option(
    "--top",
    type=click.IntRange(1),
    default=10,
    show_default=True,
    help="Sockets and groups to list; the rest is one row.",
)
@lab_option
@click.argument("argv", metavar="-- CMD [ARGS]...", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_context
def command(
    ctx: click.Context, save_path: Path | None, json_path: Path | None, user: str | None, duration: float | None,
    wait: bool, by: str, top: int, lab: str | None, argv: tuple[str, ...],
) -> None:  # fmt: skip
    """Run CMD unchanged, and show where its payload bytes were copied.

    Every TCP and UDP socket of CMD and its descendants is counted, from CMD's first instruction on. CMD keeps its
    terminal, its signals and its exit code, which becomes nettrace's; the report goes to stderr after it. Unix
    sockets are not counted.
    """
    from tracer.machine.commands import User

    _check_writable(save_path, json_path)
    if lab is not None:
        ctx.exit(_in_lab(ctx, lab, save_path, json_path, list(argv)))
    whose = User.named(user) if user is not None else User.invoking()
    ctx.exit(_here(list(argv), whose, duration, wait, save_path, json_path, (by, top)))


def _here(
    argv: list[str], whose: User | None, duration: float | None, wait: bool,
    save_path: Path | None, json_path: Path | None, view: tuple[str, int],
) -> int:  # fmt: skip
    from tracer.machine.commands import end_as
    from tracer.reports.sockets import View, print_sockets
    from tracer.reports.terminal import make_console
    from tracer.runs.command import Order, record_command

    recording = record_command(Order(argv, whose, duration, wait), note)
    _write(recording, save_path, json_path)
    print_sockets(recording, make_console(sys.stderr), View(*view))
    sys.stderr.flush()
    status = recording.subject.exit_status
    return 0 if status is None else end_as(status)


def _in_lab(ctx: click.Context, lab: str, save_path: Path | None, json_path: Path | None, argv: list[str]) -> int:
    from tracer.machine.files import write_file
    from tracer.runs.command_in_lab import record_in_lab

    given = {name: ctx.params[name] for name in ("user", "duration", "by", "top")}
    options = [part for name, value in given.items() if value is not None for part in (f"--{name}", str(value))]
    options += ["--wait"] if ctx.params["wait"] else []
    wants = (save_path is not None, json_path is not None)
    status, saved, document = record_in_lab(lab, options, argv, wants, note)
    for path, data in ((save_path, saved), (json_path, document)):
        if path is not None and data is not None:
            write_file(path, data)
    return status


def _check_writable(*paths: Path | None) -> None:
    """Before CMD runs: afterwards there would be nothing to write it to."""
    for path in paths:
        if path is not None and not path.parent.is_dir():
            raise MachineError(f"cannot save {path}", f"there is no directory {path.parent}", "make it first")


def _write(recording: SocketRecording, save_path: Path | None, json_path: Path | None) -> None:
    from tracer.books.socket_file import document_of_sockets, encode_sockets
    from tracer.machine.files import write_file

    if save_path is not None:
        write_file(save_path, encode_sockets(recording))
    if json_path is not None:
        write_file(json_path, document_of_sockets(recording, _SPELLED_OUT))
