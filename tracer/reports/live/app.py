"""The live view on a terminal. Each second only what has changed of the visible rows is drawn."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, NamedTuple

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Footer, Input

from tracer.books.groups import BY
from tracer.books.live import ORDERS, Page, Query, Source, State, is_time_over
from tracer.errors import NettraceError
from tracer.model.socket_recording import SocketRecording
from tracer.reports.live import panels
from tracer.reports.live.groups import rows_of_groups
from tracer.reports.live.lines import DIM, FittedLines, Lines, Row
from tracer.reports.live.output import tail_of
from tracer.reports.live.pages import Over, help_page, socket_page
from tracer.reports.live.sockets import rows_of

# Rows of a terminal that has room for more than figures and sockets.
_HIGH = 18
_OUTPUT_LINES = 7
# A head, a socket, those that have no room, and the keys.
_LEAST_BELOW = 4
_BLANK: Row = ("", None)
# Bytes that a terminal sends for signals which are not ours, read and forgotten at once.
_MOST_WAKES = 512


class Interruption(NamedTuple):
    """How a signal is told: by a descriptor that can be read then.

    Args:
        came: Whether it was one that ends the view; others wake too.
    """

    wake: int
    came: Callable[[], bool]


class Settings(NamedTuple):
    """What a view is asked for.

    Args:
        save: Writes a recording, and says where.
        by: One of tracer.books.groups.BY: groups instead of sockets, to begin with.
        top: Sockets to list at most; None: as many as there is room for.
        most_s: The view is left after so long.
        output: File that a command writes to.
        interruption: How signals are told.
        each_s: How often it is drawn; None: whenever tick() is called.
    """

    save: Callable[[SocketRecording], str]
    by: str | None = None
    top: int | None = None
    most_s: float | None = None
    output: Path | None = None
    interruption: Interruption | None = None
    each_s: float | None = 1.0


def _while_room(above: list[Row], room: int, below: list[Row]) -> list[Row]:
    """Both, with a blank between them unless the second one is empty; the first alone where there is no room."""
    together = [*above, _BLANK, *below] if below else above
    return together if len(together) < room else above


class LiveApp(App[None]):
    """Shows a source until somebody leaves."""

    ENABLE_COMMAND_PALETTE = False
    AUTO_FOCUS = None
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", "leave"),
        Binding("ctrl+c", "quit", show=False, priority=True),
        Binding("question_mark", "help", "help"),
        Binding("s", "sort", "sort"),
        Binding("g", "group", "group"),
        Binding("slash", "filter", "filter"),
        Binding("space,p", "pause", "pause"),
        Binding("enter", "detail", "socket"),
        Binding("n", "findings", "notes"),
        Binding("w", "save", "save"),
        Binding("left", "step(-1)", show=False),
        Binding("right", "step(1)", show=False),
        Binding("up", "move(-1)", show=False),
        Binding("down", "move(1)", show=False),
        Binding("pagedown", "turn(1)", show=False),
        Binding("pageup", "turn(-1)", show=False),
        Binding("escape", "unfilter", show=False),
        Binding("ctrl+z", "suspend_process", show=False),
    ]
    CSS = """
    Screen { background: ansi_default; overflow: hidden; }
    #sockets { height: 1fr; min-height: 3; }
    #filter { height: 1; border: none; padding: 0; display: none; background: ansi_default; }
    #output { height: 7; margin: 1 0 0 0; display: none; }
    """

    def __init__(self, source: Source, settings: Settings) -> None:
        super().__init__(ansi_color=True)
        self._source, self._settings = source, settings
        self._query = Query()
        self._by = settings.by
        self._cursor = 0
        self._page: Page | None = None
        self._paused = False
        self._told = ""
        self._frame = source.frame()
        self.failure: Exception | None = None

    def compose(self) -> ComposeResult:
        """From top to bottom."""
        yield FittedLines(id="top")
        yield Lines(id="sockets")
        yield Lines(id="output")
        yield Input(placeholder="words; enter shows, esc shows all", id="filter", compact=True)
        yield Footer()

    def on_mount(self) -> None:
        """Draw, each second from now on."""
        if self._settings.interruption is not None:
            asyncio.get_running_loop().add_reader(self._settings.interruption.wake, self._woken)
        self.call_after_refresh(self._guarded, self.draw)
        # A shell has written on the screen meanwhile (ctrl+z, fg).
        self.app_resume_signal.subscribe(self, lambda _app: self.refresh(layout=True))
        if self._settings.each_s is not None:
            self.set_interval(self._settings.each_s, self.tick)

    def _woken(self) -> None:
        """By a signal: one that ends us, or another one that Python has a handler for, such as a new size's."""
        interruption = self._settings.interruption
        if interruption is not None and interruption.came():
            self.leave()
        elif interruption is not None:
            with suppress(BlockingIOError):
                os.read(interruption.wake, _MOST_WAKES)

    def leave(self) -> None:
        """Give the terminal back."""
        if self._settings.interruption is not None:
            asyncio.get_running_loop().remove_reader(self._settings.interruption.wake)
        self.exit()

    def tick(self) -> None:
        """The figures of this second; what goes wrong with them ends the view, and is told when it has ended."""
        if self._paused or self._frame.state is not State.RUNNING:
            return
        self._guarded(self._look)

    def _look(self) -> None:
        self._frame = self._source.frame()
        if is_time_over(self._frame, self._settings.most_s):
            self.leave()
        self.draw()

    def _guarded(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:
            self.failure = error
            self.leave()

    def draw(self) -> None:
        """All that is visible."""
        if isinstance(self.screen, Over):
            return
        width, frame = self.size.width, self._frame
        title, *when = panels.head(frame, width, self._besides())
        figures = panels.figures(frame, width)
        rows = [title, *figures, *when]
        if self.size.height >= _HIGH:
            rows = [title, *when, *figures]
            rows = _while_room(rows, self._top_room(), panels.tables(frame, width))
            rows = _while_room(rows, self._top_room(), panels.findings(frame.findings, width))
            rows.append(_BLANK)
        self.query_one("#top", FittedLines).show(rows[: self._top_room()])
        self._draw_output()
        self._draw_sockets()

    def _top_room(self) -> int:
        """Lines above the sockets, so that one of these, its head and the keys are always to be seen."""
        output = _OUTPUT_LINES + 1 if self._settings.output is not None and self.size.height >= _HIGH else 0
        return max(1, self.size.height - _LEAST_BELOW - output)

    def _besides(self) -> str:
        told = [self._told] if self._told else []
        if self._paused:
            told.append("paused: space goes on")
        if self._query.words:
            told.append(f"only: {self._query.words}")
        return "; ".join(told)

    def _draw_output(self) -> None:
        pane = self.query_one("#output", Lines)
        pane.display = self._settings.output is not None and self.size.height >= _HIGH
        if self._settings.output is not None and pane.display:
            lines = tail_of(self._settings.output, _OUTPUT_LINES - 1).split("\n")
            pane.show([("output", DIM), *((line, None) for line in lines)])

    def _room(self) -> int:
        """Sockets that there is room for, besides the head and the row of the rest."""
        room = max(1, self.query_one("#sockets", Lines).size.height - 2)
        return min(room, self._settings.top or room)

    def _draw_sockets(self) -> None:
        if self._by is None:
            self._draw_page(self._query._replace(most=self._room()))
            return
        groups = self._source.groups(self._by, self._query)
        rows = rows_of_groups(groups, self._by, self.size.width, self._room())
        self.query_one("#sockets", Lines).show(rows)

    def _draw_page(self, query: Query) -> None:
        page = self._source.page(query)
        if not page.sockets and query.first:
            self._query = query = query._replace(first=0)
            page = self._source.page(query)
        self._page = page
        self._cursor = max(0, min(self._cursor, len(page.sockets) - 1))
        lines = self.query_one("#sockets", Lines)
        lines.show(rows_of(page, self.size.width, self._cursor, query.first))

    def on_resize(self) -> None:
        """What has no room is left out."""
        self.call_after_refresh(self._guarded, self.draw)

    def on_lines_resized(self) -> None:
        """The same of the sockets."""
        self._guarded(self._draw_sockets)

    def action_sort(self) -> None:
        """By the next order."""
        names = list(ORDERS)
        order = names[(names.index(self._query.order) + 1) % len(names)]
        self._query, self._told = self._query._replace(order=order, first=0), f"sorted by {order}"
        self._guarded(self.draw)

    def action_group(self) -> None:
        """By the next of the groupings; after the last one, sockets again."""
        choices = [None, *BY]
        self._by = choices[(choices.index(self._by) + 1) % len(choices)]
        self._told = ""
        self._guarded(self.draw)

    def action_filter(self) -> None:
        """Ask for words."""
        field = self.query_one("#filter", Input)
        field.display = True
        field.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Show what they fit."""
        self._show_words(event.value)

    def action_unfilter(self) -> None:
        """Show all sockets again."""
        self.query_one("#filter", Input).value = ""
        self._show_words("")

    def _show_words(self, words: str) -> None:
        self.query_one("#filter", Input).display = False
        self.set_focus(None)
        self._query = self._query._replace(words=words, first=0)
        self._guarded(self.draw)

    def action_pause(self) -> None:
        """Stand still, or go on."""
        self._paused = not self._paused
        self._guarded(self.draw if self._paused else self.tick)

    def action_step(self, by: int) -> None:
        """Another second of a recording."""
        if self._source.step(by):
            self._guarded(self._look)

    def action_turn(self, by: int) -> None:
        """To the next sockets, or to those before."""
        self._query = self._query._replace(first=max(0, self._query.first + by * self._room()))
        self._guarded(self.draw)

    def action_move(self, by: int) -> None:
        """To the next socket, or to the one before; the others move where it is not visible."""
        cursor, number = self._cursor + by, len(self._page.sockets) if self._page else 0
        if 0 <= cursor < number:
            self._cursor = cursor
        elif self._page and self._query.first + by >= 0 and self._query.first + number + by <= self._page.number:
            self._query = self._query._replace(first=self._query.first + by)
        self._guarded(self.draw)

    def action_detail(self) -> None:
        """The socket under the cursor."""
        self._guarded(self._show_detail)

    def _show_detail(self) -> None:
        if self._by is None and self._page is not None and self._cursor < len(self._page.sockets):
            detail = self._source.detail(self._page.sockets[self._cursor][0].cookie)
            if detail is not None:
                self.push_screen(socket_page(detail))

    def action_findings(self) -> None:
        """What an expert would say, in full."""
        self.push_screen(Over("what one should know", panels.findings_in_full(self._frame.findings)))

    def action_help(self) -> None:
        """The keys."""
        self.push_screen(help_page())

    def action_save(self) -> None:
        """Write what was counted until now."""
        try:
            self._told = self._settings.save(self._source.recording())
        except NettraceError as error:
            self._told = f"{error.what}: {error.why}"
        self._guarded(self.draw)

    async def action_quit(self) -> None:
        """Leave."""
        self.leave()
