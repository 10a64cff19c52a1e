"""Command-line options that several verbs share, each declared once; and how the verbs tell their progress."""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from tracer.books.groups import BY
from tracer.books.receiving import RECEIVE_NAMES, USUAL_RECEIVE
from tracer.commands.usage import OneOf
from tracer.errors import UsageError
from tracer.model import Link, ObserverChoice
from tracer.study.sweep_plan import MAX_REPETITIONS
from tracer.texts import counted
from tracer.units import format_size, parse_size

Progress = Callable[[int, int], None]

MAX_SIZE, MAX_THREADS, MAX_MESSAGES, MAX_DURATION_S, MAX_FIELDS = 16 << 20, 64, 1 << 40, 3600, 1024
# Eleven days: poll(2) takes its milliseconds as an int.
MAX_WATCHED_S = 1_000_000

# --lab all: each kernel that the lab has.
ALL = "all"


class Size(click.ParamType):  # type: ignore[type-arg]
    """1 B to 16 MiB, as 16384, 16K or 64KiB."""

    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Bytes; a bad or out-of-range size is a usage error that quotes the user."""
        size = parse_size(str(value))
        if not 1 <= size <= MAX_SIZE:
            self.fail(
                f"'{value}' is {size} bytes; a message has 1 to {MAX_SIZE} ({format_size(MAX_SIZE)}).", param, ctx
            )
        return size


class Seconds(click.FloatRange):
    """More than 0, and at most so many; "nan", which compares with nothing, is refused too."""

    def __init__(self, most: int = MAX_DURATION_S) -> None:
        super().__init__(0, most, min_open=True)

    def convert(self, value: float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds."""
        seconds = float(super().convert(value, param, ctx))
        if math.isnan(seconds):
            self.fail(f"'{value}' is not a time in seconds.", param, ctx)
        return seconds


class FileToWrite(click.Path):
    """Where a result goes: no option, and no "--", before which its name was forgotten."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """A path; one that begins with a dash is a usage error."""
        name = str(value)
        if name.startswith("-"):
            option = param.opts[-1] if param is not None else "this option"
            fix = f"{option} FILE; a file that begins with a dash is ./{name}, and /dev/stdout is one, too"
            raise UsageError(f"{option} needs the name of a file", f"what follows it is {name!r}", fix)
        return super().convert(value, param, ctx)


class LabKernel(click.ParamType):  # type: ignore[type-arg]
    """Name of a lab kernel; the option may stand alone.

    Args:
        every: "all" is allowed too.
    """

    name = "kernel"

    def __init__(self, *, every: bool = False) -> None:
        self._every = every

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ARG002
        """The series; `--lab zerocopy` is a usage error that says what happened."""
        from tracer.lab.kernels import default, match

        if self._every and value == ALL:
            return ALL
        try:
            return match(default() if value == "default" else str(value))
        except UsageError as error:
            raise UsageError(error.what, error.why, f"{error.fix}; without a kernel, write --lab last") from error


class Listed(click.ParamType):  # type: ignore[type-arg]
    """Several values separated by commas, each of one type; none twice."""

    def __init__(self, each: click.ParamType) -> None:  # type: ignore[type-arg]
        self._each = each
        self.name = f"{each.name},..."

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> list[Any]:
        """The values in the order given."""
        if isinstance(value, list):
            return value
        values = [self._each.convert(one.strip(), param, ctx) for one in str(value).split(",")]
        if len(set(values)) < len(values):
            self.fail(f"'{value}' names a value twice.", param, ctx)
        return values


class Bytes(click.ParamType):  # type: ignore[type-arg]
    """An amount of payload: at least 1 B; 256M, 1GiB."""

    name = "bytes"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Bytes."""
        size = parse_size(str(value))
        if size < 1:
            self.fail(f"'{value}' is not at least 1 byte.", param, ctx)
        return size


class Cpus(click.ParamType):  # type: ignore[type-arg]
    """One CPU or two, as 0,1; the same one twice is a question, too."""

    name = "S[,R]"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Their numbers."""
        words = str(value).split(",")
        if len(words) > 2 or not all(word.strip().isdecimal() for word in words):
            self.fail(f"'{value}' is not one CPU's number, or two: 0 or 0,1.", param, ctx)
        return tuple(int(word) for word in words)


class ModeName(click.ParamType):  # type: ignore[type-arg]
    """The name of a mode."""

    name = "mode"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ARG002
        """The name, if there is such a mode."""
        from tracer.books.modes import mode

        return mode(str(value)).name


MODES = Listed(ModeName())
SIZES = Listed(Size())
THREADS = Listed(click.IntRange(1, MAX_THREADS))


size_option = click.option(
    "--size", type=Size(), default="16384", show_default=True, help="Bytes of a message: 16384, 16K, 1MiB."
)
threads_option = click.option(
    "--threads", type=click.IntRange(1, MAX_THREADS), default=1, show_default=True, help="Connections, a thread each."
)
link_option = click.option("--link", type=OneOf([link.value for link in Link]), default="lo", show_default=True)
peer_option = click.option("--peer", metavar="HOST:PORT", help="A `nettrace serve` on another machine, for --link nic.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of the report.")
by_option = click.option("--by", type=OneOf(list(BY)), default="program", show_default=True, help="Group the sockets.")
top_option = click.option(
    "--top",
    type=click.IntRange(1),
    default=10,
    show_default=True,
    help="Sockets and groups to list; the rest is one row.",
)


def watch_option(more: str = "") -> Callable[[Any], Any]:
    """-d, for verbs that watch."""
    return click.option(
        "-d", "--duration", type=Seconds(MAX_WATCHED_S), metavar="SECONDS", help=f"Watch for so long{more}."
    )


def lab_option_of(*, every: bool, more: str = "") -> Callable[[Any], Any]:
    """--lab.

    Args:
        every: ALL is allowed too, and `more` says so.
    """
    return click.option(
        "--lab", type=LabKernel(every=every), is_flag=False, flag_value="default", metavar="[KERNEL]",
        help=f"Run it in a virtual machine with Debian's kernel 6.1, 6.12 (default) or 7.2{more}.",
    )  # fmt: skip


lab_option = lab_option_of(every=False)
setup_option = click.option(
    "--setup", metavar="COMMAND", multiple=True,
    help="With --lab: run this in the guest before the passes, e.g. 'ethtool -K eth0 tso off'. Repeatable.",
)  # fmt: skip


_SETTINGS = (
    click.option(
        "--fields", type=click.IntRange(1, MAX_FIELDS), default=8, show_default=True,
        help="Pieces of memory that a message consists of.",
    ),
    click.option("--ipv6", is_flag=True, help="Send over IPv6."),
    click.option("--congestion", metavar="NAME", help="Congestion control of the connections, e.g. cubic."),
    click.option("--nodelay", is_flag=True, help="Switch Nagle's algorithm off (TCP_NODELAY)."),
    click.option("--sndbuf", type=Bytes(), help="Bytes of a sender's buffer (SO_SNDBUF); the kernel doubles it."),
    click.option("--rcvbuf", type=Bytes(), help="Bytes of a receiver's buffer (SO_RCVBUF)."),
    click.option(
        "--receive", type=OneOf(list(RECEIVE_NAMES)), default=USUAL_RECEIVE.name, show_default=True,
        help="How the receiver takes the bytes.",
    ),
    click.option(
        "--cpus", type=Cpus(), callback=lambda _context, _option, given: given or (),
        help="Bind the sender to CPU S and the receiver to CPU R.",
    ),
)  # fmt: skip


def settings_options(command: Any) -> Any:
    """What is usually left as it is: the fields of tracer.model.Settings, by their names."""
    for option in reversed(_SETTINGS):
        command = option(command)
    return command


def observer_option(watches: str) -> Callable[[Any], Any]:
    """--observer, with what it watches in this verb."""
    choices = [choice.value for choice in ObserverChoice]
    return click.option("--observer", type=OneOf(choices), default="auto", show_default=True, help=watches)


def modes_option(default: str) -> Callable[[Any], Any]:
    """--modes, for verbs that set several side by side."""
    return click.option("--modes", type=MODES, default=default, show_default=True)


def repetitions_option(default: int) -> Callable[[Any], Any]:
    """--repetitions, for verbs that repeat."""
    return click.option("--repetitions", type=click.IntRange(1, MAX_REPETITIONS), default=default, show_default=True)


@contextlib.contextmanager
def progress_bar(label: str) -> Iterator[Progress]:
    """A bar with the time left on stderr; without a terminal, a line each tenth."""
    if not sys.stderr.isatty():
        yield _lines(label)
        return
    with click.progressbar(length=1, label=label, file=sys.stderr, show_pos=True) as bar:

        def show(done: int, total: int) -> None:
            if bar.length != total:
                # What an earlier sweep did is no measure of the time that is left.
                bar.length, bar.pos = total, done
            bar.update(done - bar.pos)

        yield show


def _lines(label: str) -> Progress:
    told = -1

    def show(done: int, total: int) -> None:
        nonlocal told
        if total and done * 10 // total > told:
            told = done * 10 // total
            click.echo(f"nettrace: {label}: {done} of {counted(total, 'run')}", err=True)

    return show
