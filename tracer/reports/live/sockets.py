"""The sockets of a live view as lines: which columns there is room for, and what stands in them."""

from __future__ import annotations

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


COLUMNS = (
    Column("socket", 0, 0),
    Column("now", 10, 0, right=True),
    Column("sent", 13, _EVERY, right=True),
    Column("read", 13, _EVERY, right=True),
    Column("by", 8, _EVERY),
    Column("program", 16, _HALF),
)


def columns_for(width: int) -> list[Column]:
    """Those that a terminal of so many columns has room for, with a blank between them."""
    found = [column for column in COLUMNS if column.least <= width]
    left = width - sum(column.width + 1 for column in found) + 1
    return [column if column.width else column._replace(width=min(_MOST_NAME, max(1, left))) for column in found]


def rows_of(page: Page, width: int, cursor: int, first: int) -> list[Row]:
    """A head, a line for each socket, and one for the rest.

    Args:
        cursor: Line of the socket that is chosen.
        first: Sockets that are left out above.
    """
    fitting = columns_for(width)
    heads = {column.name: column.name for column in fitting} | {"socket": _head(page, first)}
    rows: list[Row] = [(_line(heads, fitting), DIM)]
    for at, (line, socket) in enumerate(page.sockets):
        rows.append((_line(_cells(line, socket), fitting), CURSOR if at == cursor else None))
    if hidden := page.number - len(page.sockets):
        rows.append((_line({**_numbers(page.rest), "socket": f"{hidden:,} more"}, fitting), DIM))
    return rows


def _head(page: Page, first: int) -> str:
    last = first + len(page.sockets)
    return f"socket {first + 1:,} to {last:,} of {page.number:,}" if page.sockets else "no socket"


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
