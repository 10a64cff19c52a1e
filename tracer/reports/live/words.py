"""How a live view writes what changes: speeds, ways, the course of a figure, columns."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from rich.filesize import decimal

from tracer.texts import printable, shortened

_BARS = "▁▂▃▄▅▆▇█"
_BETWEEN = "  "
# Letters of a name, or of a sentence, on the narrowest screen that still shows it.
_LEAST_TEXT = 7


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


def columns(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> list[str]:
    """Lines whose cells stand below each other.

    Args:
        right: Columns of numbers.
    """
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    return [
        _BETWEEN.join(_aligned(cell, widths[at], at in right) for at, cell in enumerate(row)).rstrip() for row in rows
    ]


def columns_within(rows: Sequence[Sequence[str]], width: int, right: Collection[int] = ()) -> list[str]:
    """The same on a screen of this width: names lose their middle, the last columns are left out, no number is cut."""
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    rooms = [full if at in right else min(full, _LEAST_TEXT) for at, full in enumerate(widths)]
    while len(rooms) > 2 and _across(rooms) > width:
        rooms.pop()
    for at, few in enumerate(rooms):
        rooms[at] += max(0, min(widths[at] - few, width - _across(rooms)))
    rooms[0] = max(1, rooms[0] + min(0, width - _across(rooms)))
    fitting = [[shortened(cell, room) for cell, room in zip(row, rooms, strict=False)] for row in rows]
    return columns(fitting, right)


def _across(widths: Sequence[int]) -> int:
    return sum(widths) + len(_BETWEEN) * (len(widths) - 1)


def _aligned(cell: str, width: int, right: bool) -> str:
    return cell.rjust(width) if right else cell.ljust(width)
