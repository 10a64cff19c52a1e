"""The sockets of a live view as lines: which columns there is room for, and what stands in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tracer.books.live import Line, Page
from tracer.model.sockets import Socket
from tracer.reports.live.lines import CURSOR, DIM, Row
from tracer.reports.live.words import speed
from tracer.reports.socket_lists import name_of, ways_of, who_of
from tracer.texts import printable, shortened
from tracer.units import format_count

# Columns of a terminal that has room for every column, and for half of them.
_EVERY, _HALF = 100, 50
_MOST_NAME = 60
_NUMBERS = ("now", "sent", "read")


class Column(NamedTuple):
    """A column.

    Args:
        width: Of its text; 0 for what the others leave.
        least: Columns of the terminal from which on it is there.
    """

    name: str
    width: int
    least: int
    right: bool = False

    def widened(self, letters: int) -> Column:
        """With room for so many, at least."""
        return self._replace(width=max(self.width, letters)) if letters else self


COLUMNS = (
    Column("socket", 0, 0),
    Column("now", 10, 0, right=True),
    Column("sent", 13, _EVERY, right=True),
    Column("read", 13, _EVERY, right=True),
    Column("by", 8, _EVERY),
    Column("program", 16, _HALF),
)


def columns_for(width: int, numbers: Mapping[str, int] | None = None) -> list[Column]:
    """Those that a terminal of so many columns has room for, with a blank between them.

    Args:
        numbers: Column -> letters of its longest number, which is never cut.
    """
    widest = numbers or {}
    found = [column.widened(widest.get(column.name, 0)) for column in COLUMNS if column.least <= width]
    left = width - sum(column.width + 1 for column in found) + 1
    return [column if column.width else column._replace(width=min(_MOST_NAME, max(1, left))) for column in found]


def rows_of(page: Page, width: int, cursor: int, first: int) -> list[Row]:
    """A head, a line for each socket, and one for the rest.

    Args:
        cursor: Line of the socket that is chosen.
        first: Sockets that are left out above.
    """
    cells = [_cells(line, socket) for line, socket in page.sockets]
    hidden = page.number - len(page.sockets)
    rest = _numbers(page.rest) if hidden else {}
    fitting = columns_for(width, {name: max(map(len, _column([*cells, rest], name))) for name in _NUMBERS})
    room = fitting[0].width
    heads = {column.name: column.name for column in fitting} | {"socket": _head(page, first, room)}
    rows: list[Row] = [(_line(heads, fitting), DIM)]
    rows += [(_line(one, fitting), CURSOR if at == cursor else None) for at, one in enumerate(cells)]
    if hidden:
        rows.append((_line({**rest, "socket": _fitting((f"{hidden:,} more", f"+{hidden:,}"), room)}, fitting), DIM))
    return rows


def _column(rows: list[dict[str, str]], name: str) -> list[str]:
    return [row.get(name, "") for row in rows]


def _head(page: Page, first: int, room: int) -> str:
    if not page.sockets:
        return "no socket"
    begin, end, of = first + 1, first + len(page.sockets), f"of {page.number:,}"
    return _fitting((f"socket {begin:,} to {end:,} {of}", f"{begin:,}-{end:,} {of}", of), room)


def _fitting(texts: Sequence[str], room: int) -> str:
    """The first that fits, else the last one: a number is not cut where there is another way to say it."""
    return next((text for text in texts if len(text) <= room), texts[-1])


def _line(cells: dict[str, str], fitting: list[Column]) -> str:
    texts = ((shortened(cells.get(column.name, ""), column.width), column) for column in fitting)
    return " ".join(text.rjust(column.width) if column.right else text.ljust(column.width) for text, column in texts)


def _cells(line: Line, socket: Socket) -> dict[str, str]:
    numbers = _numbers(line)
    return {
        **numbers,
        "now": "ended" if line.ended and not line.now else numbers["now"],
        "socket": printable(name_of(socket)),
        "by": printable(ways_of(socket)),
        "program": printable(who_of(socket)),
    }


def _numbers(line: Line) -> dict[str, str]:
    now = "n/a" if line.now is None else speed(line.now)
    return {"now": now, "sent": format_count(line.sent), "read": format_count(line.read)}
