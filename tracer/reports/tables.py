"""Tables by rich, as all reports draw them."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table


def make_table(console: Console, *columns: str, right: tuple[str, ...] = ()) -> Table:
    """A table without drawn borders in a pipe, with a ruled head in a terminal."""
    table = Table(
        box=box.SIMPLE_HEAD if console.is_terminal else None, pad_edge=False, padding=(0, 1), collapse_padding=True
    )
    for column in columns:
        # A name may go on in the next line; a number that did would be read as two.
        number = column in right
        table.add_column(column, justify="right" if number else "left", overflow="fold", no_wrap=number)
    return table
