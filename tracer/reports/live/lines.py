"""Lines of a live view on a terminal: plain ones, of which those that change are drawn.

A table of textual's takes 2 ms a row to draw, a line 0.1 ms; and a view of 500 sockets has 20 ms a second for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.segment import Segment
from rich.style import Style
from textual.events import Resize
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

BOLD, DIM, CURSOR = Style(bold=True), Style(dim=True), Style(reverse=True)

Row = tuple[str, Style | None]
"""The text of a line, and how it looks."""


class Lines(Widget):
    """As many lines as it is given, one below the other; what is longer than it is wide is cut."""

    class Resized(Message):
        """There is room for more of them, or for fewer."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.rows: Sequence[Row] = ()
        # Asked of the widget for each line, its size would take most of a line's time.
        self._width = 0

    def on_resize(self, event: Resize) -> None:
        """Draw anew what was drawn as wide as it was, and tell whoever fills them."""
        self._width = event.size.width
        self.refresh()
        self.post_message(self.Resized())

    def show(self, rows: Sequence[Row]) -> None:
        """Draw what is not there yet."""
        before, self.rows = self.rows, tuple(rows)
        most = max(len(before), len(rows))
        changed = [at for at in range(most) if before[at : at + 1] != self.rows[at : at + 1]]
        if changed:
            self.refresh(*(Region(0, at, self._width, 1) for at in changed))

    def render_line(self, y: int) -> Strip:
        """One of them."""
        text, style = self.rows[y] if y < len(self.rows) else ("", None)
        return Strip([Segment(text, style)]).adjust_cell_length(self._width or self.size.width, style)

    def text(self) -> str:
        """All that it shows."""
        return "\n".join(text for text, _ in self.rows)


class FittedLines(Lines):
    """The same, as high as it has lines."""

    def show(self, rows: Sequence[Row]) -> None:
        """Lay out anew only where their number changes."""
        if len(rows) != len(self.rows):
            self.styles.height = len(rows)
        super().show(rows)
