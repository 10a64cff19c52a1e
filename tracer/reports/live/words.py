"""How a live view writes what changes: speeds, ways, the course of a figure, columns."""

from __future__ import annotations

from collections.abc import Sequence

from rich.filesize import decimal

from tracer.texts import printable

_BARS = "▁▂▃▄▅▆▇█"


def speed(rate: float) -> str:
    """Bytes a second, as in "12.3 MB/s"."""
    return f"{decimal(round(rate)).replace('bytes', 'B').replace('byte', 'B')}/s"


def named(way: str) -> str:
    """A way, as it is written for people; in a recording it may be any text."""
    return printable(way.replace("_", " "))


def course(values: Sequence[float | None], width: int) -> str:
    """The last values as bars of one height, the newest to the right; a blank where there is none.

    The lowest bar is 0 and the highest the greatest of them: textual's Sparkline begins at the least, where something
    that is always 1 looks like something that is always 0, and has no blanks.
    """
    shown = values[-width:] if width > 0 else []
    most = max((value for value in shown if value is not None), default=0) or 1
    bars = (" " if value is None else _BARS[round(value / most * (len(_BARS) - 1))] for value in shown)
    return "".join(bars).rjust(width)


def columns(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> list[str]:
    """Lines whose cells stand below each other.

    Args:
        right: Columns of numbers.
    """
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    return ["  ".join(_aligned(cell, widths[at], at in right) for at, cell in enumerate(row)).rstrip() for row in rows]


def _aligned(cell: str, width: int, right: bool) -> str:
    return cell.rjust(width) if right else cell.ljust(width)
