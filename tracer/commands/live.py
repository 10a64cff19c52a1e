"""nettrace live: what a program's sockets do, each second, while they do it."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from tracer.books.groups import BY
from tracer.commands.attach import target_of
from tracer.commands.conditions import require_files
from tracer.commands.options import FileToWrite, watch_option
from tracer.commands.output import books_code, note
from tracer.commands.usage import OneOf
from tracer.errors import UsageError
from tracer.machine.interrupts import interrupts

if TYPE_CHECKING:
    from tracer.books.live import Source
    from tracer.books.replay import Replay
    from tracer.model.socket_recording import SocketRecording
    from tracer.observers.sockets import Instant
    from tracer.runs.attach import Target
    from tracer.runs.session import Session

Opened = Callable[["Callable[[Instant], None]", Callable[[], None]], AbstractContextManager["Session"]]

_COMMAND = "nettrace.command"


class Behind(click.Command):
    """What stands behind -- is a command, and no file."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """The command is put aside."""
        ours, found, command = args, False, list[str]()
        if "--" in args:
            at = args.index("--")
            ours, found, command = args[:at], True, args[at + 1 :]
        if found and not command:
            raise UsageError("no command stands behind --", "there is nothing to run", "nettrace live -- CMD")
        ctx.meta[_COMMAND] = command
        return super().parse_args(ctx, ours)


class View(NamedTuple):
    """How it is shown, and where it is kept."""

    by: str | None
    top: int | None
    most_s: float | None
    save_path: Path | None
    output: Path | None


@click.command(cls=Behind, options_metavar="[OPTIONS]")
@click.option("-p", "--pid", "pids", multiple=True, metavar="PID", help="These processes, as pidof prints them.")
@click.option("--cgroup", metavar="PATH", help="All processes of a cgroup, and what is made in it.")
@click.option("--unit", metavar="NAME", help="All processes of a systemd unit.")
@click.option("--no-children", is_flag=True, help="Leave out descendants of these processes.")
@watch_option()
@click.option("--by", type=OneOf(list(BY)), help="Group the sockets, to begin with and in the report.")
@click.option("--top", type=click.IntRange(1), help="Sockets to list at most; the rest is one row.")
@click.option(
    "-o",
    "--save",
    "save_path",
    type=FileToWrite(),
    metavar="FILE",
    help="Write the recording to a file, at the end and whenever w is pressed.",
)
@click.option(
    "--output",
    type=FileToWrite(),
    metavar="FILE",
    help="Where CMD's output goes. [default: a temporary file, which is named in the end]",
)
@click.option("--user", metavar="NAME", help="Run CMD as this user. [default: whoever called sudo]")
@click.argument("words", metavar="[FILE] | -- CMD [ARGS]...", nargs=-1)
@click.pass_context
def command(
    ctx: click.Context, pids: tuple[str, ...], cgroup: str | None, unit: str | None, no_children: bool,
    duration: float | None, by: str | None, top: int | None, save_path: Path | None, output: Path | None,
    user: str | None, words: tuple[str, ...],
) -> None:  # fmt: skip
    """Show each second how payload bytes are copied: of processes that run, of CMD, or of a recording FILE.

    Where there is no terminal, a line a second is printed instead. ? lists the keys. The report follows when you
    leave, and exit codes are those of attach. CMD has no standard input here, and is asked to end (SIGTERM) when you
    leave before it has; what is attached to notices nothing.
    """
    argv, attaches = ctx.meta[_COMMAND], bool(pids or cgroup or unit)
    _check_subject(words, argv, attaches)
    _refuse({} if argv else {"--output": output, "--user": user})
    _refuse({} if argv or attaches else {"--duration": duration, "--save": save_path})
    _refuse({} if attaches else {"--no-children": no_children or None})
    require_files({"--save": save_path, "--output": output})
    view = View(by, top, duration, save_path, output)
    if attaches:
        target = target_of((*pids, *words), cgroup, unit, None, not no_children)
        ctx.exit(_watch(_attached(target), view))
    if argv:
        with _output_file(view) as (descriptor, path):
            ctx.exit(_watch(_commanded(argv, user, descriptor), view._replace(output=path)))
    _show_file(Path(words[0]), view)


def _check_subject(words: tuple[str, ...], argv: list[str], attaches: bool) -> None:
    if [bool(argv), attaches, bool(words) and not attaches].count(True) != 1:
        why = "more than one is given" if argv or attaches or words else "none is given"
        what = "one of -p PID, --cgroup PATH, --unit NAME, FILE and -- CMD is wanted"
        raise UsageError(what, why, "nettrace live -- CMD")
    if not attaches and len(words) > 1:
        fix = f"a command: nettrace live -- {' '.join(words)}"
        raise UsageError("more than one FILE is given", "one is shown", fix)


def _refuse(options: Mapping[str, object]) -> None:
    """Options that would be ignored in silence."""
    for option, value in options.items():
        if value is not None:
            raise UsageError(f"{option} does not go with this", "it is of another subject", f"leave out {option}")


def _attached(target: Target) -> Opened:
    from tracer.runs.attach import attached

    quiet = note if not _has_terminal() else lambda _text: None

    def opened(on_instant: Callable[[Instant], None], meanwhile: Callable[[], None]) -> AbstractContextManager[Session]:
        meanwhile()
        return attached(target, quiet, on_instant)

    return opened


def _commanded(argv: list[str], name: str | None, output: int) -> Opened:
    from tracer.commands.record import user_of
    from tracer.runs.command import started
    from tracer.runs.subjects.command import Order

    order = Order(argv, user_of(argv[0], name))
    # A thread that is there before would be one more in the process that the command is forked from.
    return lambda on_instant, meanwhile: started(order, output, on_instant, meanwhile)


@contextlib.contextmanager
def _output_file(view: View) -> Iterator[tuple[int, Path]]:
    """Where a command writes to."""
    import tempfile

    from tracer.machine.users import give_to_invoking_user

    if view.output is not None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        descriptor, path = os.open(view.output, flags, 0o666), view.output
    else:
        descriptor, name = tempfile.mkstemp(prefix="nettrace-live-", suffix=".txt")
        path = Path(name)
    give_to_invoking_user(descriptor)
    try:
        yield descriptor, path
    finally:
        has_written = os.fstat(descriptor).st_size > 0
        os.close(descriptor)
        if has_written:
            note(f"what it wrote is in {path}")
        elif view.output is None:
            path.unlink(missing_ok=True)


def _watch(opened: Opened, view: View) -> int:
    """Show it until somebody leaves, and report; the exit code."""
    from tracer.runs.live import Live, Newest

    has_terminal, newest = _has_terminal(), Newest()
    with opened(newest.put, _load_display_beside if has_terminal else lambda: None) as session:
        live = Live(session, newest)
        try:
            with _interruptible():
                (_show if has_terminal else _print_lines)(live, view)
        finally:
            session.subject.leave()
            recording = live.end()
    _report(recording, view)
    return books_code(recording)


def _load_display_beside() -> None:
    """Takes half as long as attaching: meanwhile."""
    threading.Thread(target=_load_display, daemon=True).start()


def _load_display() -> None:
    """What goes wrong with it is told by whoever needs it."""
    with contextlib.suppress(ImportError):
        import tracer.reports.live.display  # noqa: F401


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """For the time of the block signals are told by a descriptor, and end the view instead of cutting it short."""
    from tracer.machine.commands import signals_let_in

    interrupts.hold()
    interrupts.take(signal.SIGHUP)
    try:
        with signals_let_in(signal.SIGHUP):
            yield
    finally:
        interrupts.resume()


def _has_terminal() -> bool:
    """Whether there is a screen to draw on and a keyboard to hear."""
    streams = (sys.stdin, sys.stdout, sys.stderr)
    return os.environ.get("TERM", "dumb") not in ("dumb", "unknown") and all(stream.isatty() for stream in streams)


def _show(source: Source, view: View) -> None:
    from tracer.reports.live.app import Interruption, Settings
    from tracer.reports.live.display import show

    interruption = None if interrupts.wake is None else Interruption(interrupts.wake, lambda: interrupts.came)
    show(source, Settings(_saver(view.save_path), view.by, view.top, view.most_s, view.output, interruption))


def _saver(path: Path | None) -> Callable[[SocketRecording], str]:
    from tracer.books.socket_file import encode_sockets
    from tracer.machine.files import write_file

    def save(recording: SocketRecording) -> str:
        name = path or Path(f"nettrace-live-{time.strftime('%Y%m%d-%H%M%S')}.json")
        write_file(name, encode_sockets(recording))
        return f"saved {name}"

    return save


def _print_lines(source: Source, view: View) -> None:
    """Until there is no more to come, the time is over, or somebody interrupts."""
    from tracer.books.live import State, is_time_over
    from tracer.reports.live.plain import one_line

    due = time.monotonic()
    while True:
        frame = source.frame()
        sys.stdout.write(one_line(frame) + "\n")
        sys.stdout.flush()
        if frame.state is not State.RUNNING or is_time_over(frame, view.most_s):
            return
        due += 1
        if _interrupted_before(due):
            return


def _interrupted_before(due: float) -> bool:
    """Wait until then; whether a signal came that ends us. Others wake too (a child's end)."""
    while not interrupts.came and (left_s := due - time.monotonic()) > 0:
        if interrupts.wake is None:
            time.sleep(left_s)
        elif select.select([interrupts.wake], [], [], left_s)[0] and not interrupts.came:
            os.read(interrupts.wake, 512)
    return interrupts.came


def _report(recording: SocketRecording, view: View) -> None:
    from tracer.reports.socket_lists import View as ListView
    from tracer.reports.sockets import print_sockets
    from tracer.reports.tables import make_console

    usual = ListView()
    try:
        print_sockets(recording, make_console(sys.stdout), ListView(view.by or usual.by, view.top or usual.top))
    finally:
        if view.save_path is not None:
            _saver(view.save_path)(recording)


def _show_file(file: Path, view: View) -> None:
    from tracer.books.recording import decode
    from tracer.books.replay import Replay
    from tracer.books.socket_file import decode_sockets, is_of_sockets
    from tracer.machine.recordings import read

    if not file.exists():
        raise UsageError(f"there is no file {file}", "a recording is shown", f"a command: nettrace live -- {file}")
    data = read(file)
    if not is_of_sockets(data):
        decode(data, str(file))  # says what is wrong with what is no recording at all
        raise UsageError(
            f"{file} holds no sockets", "only what record and attach wrote does", f"nettrace report {file}"
        )
    replay = Replay(decode_sockets(data, str(file)))
    if _has_terminal():
        with _interruptible():
            _show(replay, view)
    else:
        _print_seconds(replay)
        _report(replay.recording(), view)


def _print_seconds(replay: Replay) -> None:
    from tracer.reports.live.plain import one_line

    for frame in replay.frames():
        sys.stdout.write(one_line(frame) + "\n")
