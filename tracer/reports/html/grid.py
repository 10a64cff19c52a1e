"""A table of the terminal's reports as plain cells: the page says what the screen says. No drawing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tracer.reports.tables import PIPE_WIDTH, make_text_console
from tracer.texts import shortened

# What a table's styles mean, in the page's words.
_TONES = {"green": "good", "bold red": "bad", "red": "bad", "yellow": "unsure", "dim": "nothing", "cyan": "known"}
# Characters of a cell: a sentence has room, a hostile name has not.
_MOST_CHARACTERS = 600


class Cell(NamedTuple):
    """What stands in a cell, and what it means."""

    text: str
    tone: str = ""


class Row(NamedTuple):
    """One row.

    Args:
        stage: The stage that it is of; empty where it is of none.
        is_rest: It sums up what is not listed: it stays below, however the rows are sorted.
    """

    cells: list[Cell]
    stage: str = ""
    is_rest: bool = False


class Grid(NamedTuple):
    """A table.

    Args:
        numbers: For each column, whether it holds numbers.
        filtered: What a field for filtering its rows asks for; empty where there is none.
    """

    caption: str
    head: list[str]
    numbers: list[bool]
    rows: list[Row]
    filtered: str = ""


def plain_console() -> Console:
    """What the terminal's tables are made for, where nobody prints them."""
    return make_text_console(colour=False, width=PIPE_WIDTH)


def grid_of(table: Table, caption: str, stages: Sequence[str] = ()) -> Grid:
    """A table with its cells as they are before they are fitted to a width.

    Args:
        stages: Of its rows, from the first one on.
    """
    columns = [[_cell(cell) for cell in column.cells] for column in table.columns]
    rows = [list(cells) for cells in zip(*columns, strict=True)]
    return Grid(
        caption,
        head=[str(column.header) for column in table.columns],
        numbers=[column.justify == "right" for column in table.columns],
        rows=[Row(cells, stages[at] if at < len(stages) else "") for at, cells in enumerate(rows)],
    )


def _cell(cell: object) -> Cell:
    style = str(cell.style) if isinstance(cell, Text) else ""
    text = cell.plain if isinstance(cell, Text) else str(cell)
    return Cell(shortened(text, _MOST_CHARACTERS), _TONES.get(style, ""))
