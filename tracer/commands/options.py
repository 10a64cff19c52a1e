"""Types of command-line options that several verbs share, and how they tell their progress."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

import click

from tracer.commands.run import MAX_THREADS, Size
from tracer.errors import UsageError
from tracer.units import parse_size

Progress = Callable[[int, int], None]


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
        try:
            size = parse_size(str(value))
        except UsageError as error:
            self.fail(f"{error.what}: {error.why} ({error.fix}).", param, ctx)
        if size < 1:
            self.fail(f"'{value}' is not at least 1 byte.", param, ctx)
        return size


class ModeName(click.ParamType):  # type: ignore[type-arg]
    """The name of a mode."""

    name = "mode"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name, if there is such a mode."""
        from workloads import mode

        try:
            return mode(str(value)).name
        except UsageError as error:
            self.fail(f"{error.what}: {error.why}{'; ' if error.fix else ''}{error.fix}.", param, ctx)


MODES = Listed(ModeName())
SIZES = Listed(Size())
THREADS = Listed(click.IntRange(1, MAX_THREADS))


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
            click.echo(f"nettrace: {label}: {done} of {total} runs", err=True)

    return show
