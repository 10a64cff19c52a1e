"""Tables as all reports draw them, in any width: numbers whole, names shortened in the middle, text broken at blanks.

Where that leaves no room for a table, each row becomes a paragraph of its own.
"""

from __future__ import annotations

import contextlib
import os
import re
import textwrap
from collections.abc import Iterator
from typing import IO

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Column, Table
from rich.text import Text

from tracer.texts import shortened

# Where nobody says how wide the output is (a pipe, a file), and what a width may be.
PIPE_WIDTH, LEAST_WIDTH, _MOST_WIDTH = 100, 20, 1000
# Given to rich so that it does not read COLUMNS itself, where it stumbles over some that are no numbers.
_HEIGHT = 25
# A name of which less is left is none.
_LEAST_NAME = 12
# A word that is a name: only such a one may lose its middle; no number, no path, no option of a command.
_NAME = re.compile(r"[A-Za-z_\[][^,/=]*,?")
_BEFORE_UNIT = re.compile(r"(?<=\d) (?=(?:[nµm]?s|[KMG]?i?B|Gb/s|µs/KiB|ns/B|%)(?![\w/]))")


def width_of(stream: IO[str]) -> int:
    """Columns of the output: what COLUMNS says, else the terminal; PIPE_WIDTH where there is none. At least 20."""
    asked = os.environ.get("COLUMNS", "")
    if asked.isascii() and asked.isdigit() and int(asked[:9]):
        return min(_MOST_WIDTH, max(LEAST_WIDTH, int(asked[:9])))
    try:
        columns = os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        return PIPE_WIDTH
    return max(LEAST_WIDTH, columns or 80)  # a serial line knows no width


def make_console(stream: IO[str]) -> Console:
    """A console that writes plain text unless the stream is a terminal, and breaks no line by itself."""
    return Console(file=stream, width=width_of(stream), height=_HEIGHT, highlight=False, soft_wrap=True)


def make_text_console(colour: bool, width: int) -> Console:
    """A console whose text is taken from it and not written: 100 columns wide at most."""
    return Console(
        width=min(width, PIPE_WIDTH), height=_HEIGHT, color_system="standard" if colour else None,
        force_terminal=colour, highlight=False, markup=False, soft_wrap=True,
    )  # fmt: skip


@contextlib.contextmanager
def trimmed(console: Console) -> Iterator[None]:
    """What is printed in the block is written at its end, without the blanks that tables end their lines with.

    Raises:
        OSError: nobody reads it any more, or the disk is full. (A Console that writes by itself would exit instead.)
    """
    with console.capture() as captured:
        yield
    console.file.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def has_colour(console: Console) -> bool:
    """Whether it is a terminal that has colours, whose user wants them."""
    return console.is_terminal and not console.is_dumb_terminal and not console.no_color


def paragraph(text: str, console: Console, indent: str = "", style: str = "", *, shorten: bool = False) -> Text:
    """A text as hanging() breaks it."""
    return Text(hanging(text, indent, console.width, shorten=shorten), style=style)


def make_table(console: Console, *columns: str, right: tuple[str, ...] = ()) -> Table:
    """A table without drawn borders in a pipe, with a ruled head in a terminal."""
    table = FittingTable(
        box=box.SIMPLE_HEAD if console.is_terminal else None, pad_edge=False, padding=(0, 1), collapse_padding=True
    )
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", no_wrap=column in right)
    return table


class FittingTable(Table):
    """A table that fits: columns that are aligned to the right hold numbers, and are never cut."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """As it is where there is room, else with narrower texts, else as paragraphs."""
        cells = [[_text(cell) for cell in column.cells] for column in self.columns]
        gaps = 2 * len(cells) if self.box else len(cells) - 1
        widths = _widths(self.columns, cells, options.max_width - gaps)
        if widths is None:
            yield from self._paragraphs(cells, options.max_width)
            return
        for column, width, texts in zip(self.columns, widths, cells, strict=True):
            column.width, column.overflow = width, "crop"
            column.header = fitted(str(column.header), width)
            column._cells = [Text(fitted(text.plain, width), style=text.style) for text in texts]
        yield from super().__rich_console__(console, options)

    def _paragraphs(self, cells: list[list[Text]], width: int) -> Iterator[Text]:
        yield Text(hanging(str(self.columns[0].header), "  ", width))
        for row, (first, *others) in zip(self.rows, zip(*cells, strict=True), strict=True):
            style = row.style or ""
            yield Text(hanging(_in_one_line(first), "  ", width, shorten=True), style=style)
            for column, cell in zip(self.columns[1:], others, strict=True):
                if cell.plain:
                    told = f"  {column.header}: {_in_one_line(cell)}"
                    yield Text(hanging(told, "    ", width, shorten=True), style=style)


def hanging(text: str, indent: str, width: int, *, shorten: bool = False) -> str:
    """Lines of this width, all but the first one indented, so that the start of the text stands out.

    Args:
        shorten: Names that are too long for a line lose their middle; nothing is lost of what may be a command.
    """
    words = text.lstrip(" ")
    if not indent.strip() and width < 3 * len(indent):
        indent = "  "
    start, room = text[: len(text) - len(words)], width - len(indent) if shorten else len(text)
    return "\n".join(_wrapped(" ".join(_word(word, room) for word in _words(words)), width, start, indent))


def fitted(text: str, width: int) -> str:
    """The text of a cell in lines of this width; a line's own indent stays."""
    lines = []
    for line in text.split("\n"):
        words = line.lstrip(" ")
        indent = " " * min(len(line) - len(words), max(0, width - _LEAST_NAME))
        room = width - len(indent)
        lines += _wrapped(" ".join(_word(word, room) for word in _words(words)), width, indent, indent) or [""]
    return "\n".join(lines)


def _words(line: str) -> list[str]:
    """A number and its unit are one word, held together by a blank at which no line is broken."""
    return _BEFORE_UNIT.sub("\N{NO-BREAK SPACE}", line).split(" ")


def _wrapped(text: str, width: int, first: str, others: str) -> list[str]:
    lines = textwrap.wrap(
        text, max(1, width), initial_indent=first, subsequent_indent=others,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in lines]


def _word(word: str, width: int) -> str:
    return shortened(word, width) if _NAME.fullmatch(word) else word


def _text(cell: object) -> Text:
    return cell if isinstance(cell, Text) else Text(str(cell))


def _in_one_line(cell: Text) -> str:
    return " ".join(cell.plain.split())


def _widths(columns: list[Column], cells: list[list[Text]], room: int) -> list[int] | None:
    """A width for each column; None if they cannot all have the least that each needs."""
    pairs = list(zip(columns, cells, strict=True))
    most = [max(map(_width, map(str, (column.header, *texts)))) for column, texts in pairs]
    least = [
        max(_longest_word(str(column.header)), *(_least(text.plain, column.justify == "right") for text in texts), 1)
        for column, texts in pairs
    ]
    if sum(least) > room:
        return None
    whole = [max(map(_longest_word, map(str, (column.header, *texts)))) for column, texts in pairs]
    for wanted in (whole, most):  # names first: what is cut from a sentence goes on in the next line
        _widen(least, wanted, room)
    return least


def _widen(widths: list[int], wanted: list[int], room: int) -> None:
    """Give what is left of the room to those that want it, all alike."""
    while (spare := room - sum(widths)) and (narrow := [at for at, width in enumerate(widths) if width < wanted[at]]):
        for at in narrow[:spare]:
            widths[at] += 1


def _width(text: str) -> int:
    return max(map(len, text.split("\n")))


def _longest_word(text: str) -> int:
    return max(map(len, text.split()), default=0)


def _least(text: str, is_number: bool) -> int:
    """What a cell needs: a number all of it, a text its longest word, of which a name may be shortened."""
    if is_number:
        return _width(text)
    words = (word for line in text.split("\n") for word in _words(line))
    return max(min(len(word), _LEAST_NAME) if _NAME.fullmatch(word) else len(word) for word in words)
