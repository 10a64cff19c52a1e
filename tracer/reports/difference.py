"""Two recordings side by side, on the screen and as JSON."""

from __future__ import annotations

import msgspec
from rich.console import Console

from tracer.books.difference import Difference, Row, Unit
from tracer.reports.tables import make_table, paragraph, trimmed
from tracer.texts import printable

# Differences that the first sentence names.
_NAMED = 4
# Decimals that are added at most, to tell two figures apart.
_MOST_MORE = 6


def encode_difference(difference: Difference) -> str:
    """One JSON document."""
    return msgspec.json.format(msgspec.json.encode(difference), indent=1).decode() + "\n"


def print_difference(difference: Difference, console: Console) -> None:
    """What differs, then all rows."""
    with trimmed(console):
        _print(difference, console)


def _print(difference: Difference, console: Console) -> None:
    for letter, title in (("A", difference.a), ("B", difference.b)):
        console.print(paragraph(printable(f"{letter}  {title}"), console, "   ", "dim"))
    console.print()
    console.print(paragraph(sentence_of(difference), console, "  ", "bold"))
    for text in difference.notes:
        console.print(paragraph(printable(f"note: {text}"), console, "      ", "yellow"))
    console.print()
    table = make_table(console, "figure", "A", "B", "B against A", right=("A", "B"))
    for row in difference.rows:
        table.add_row(row.name, *_values(row), _against(row))
    console.print(table)


def sentence_of(difference: Difference) -> str:
    """The copies and the ways first: they are what a recording is made for."""
    found = [row for row in difference.rows if row.differs]
    if not found:
        return "No figure that can be compared differs."
    told = [f"{row.name} {' → '.join(_values(row))}" for row in found]
    more = f"; {len(told) - _NAMED} more below" if len(told) > _NAMED else ""
    return f"From A to B: {'; '.join(told[:_NAMED])}{more}."


def _values(row: Row) -> tuple[str, str]:
    """Both in the same precision, in as much as it takes to tell them apart."""
    told = ("", "")
    for more in range(_MOST_MORE + 1):
        told = _value(row.a, row, more), _value(row.b, row, more)
        if told[0] != told[1] or not row.differs:
            break
    return told


def _value(value: float | None, row: Row, more: int) -> str:
    """One of them, with so many more decimals than usual."""
    if value is None:
        return "n/a"
    if row.unit == Unit.SHARE:
        return f"{100 * value:.{1 + more}f} %"
    if row.unit == Unit.RATIO:
        is_whole = all(one is None or one == int(one) for one in (row.a, row.b))
        return f"{value:.{0 if is_whole else 3 + more}f}"
    if row.unit == Unit.RATE:
        return f"{value * 8 / 1e9:.{2 + more}f} Gb/s"
    if row.unit in (Unit.NS_PER_BYTE, Unit.SECONDS):
        return f"{value:.{3 + more}f} {row.unit}"
    return f"{value:,.{more}f} {row.unit}".rstrip()


def _against(row: Row) -> str:
    """A ratio, the difference where A has none, or why there is neither."""
    if row.why_not:
        return f"n/a ({row.why_not})"
    if not row.differs:
        return "same"
    if row.unit == Unit.SHARE and row.a is not None and row.b is not None:
        return f"{100 * (row.b - row.a):+.1f} points"
    return f"x {row.ratio:.3g}" if row.ratio is not None else "new"
