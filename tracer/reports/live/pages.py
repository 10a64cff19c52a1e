"""Pages that lie over a live view until a key is pressed: help, findings in full, one socket."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from rich.console import Group
from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from tracer.books.groups import BY
from tracer.books.live import ORDERS, Detail
from tracer.model.sockets import Socket
from tracer.reports.socket_lists import name_of, ways_of, who_of
from tracer.texts import printable
from tracer.units import format_count

# Columns of a key, or of a word, in the help; 20 columns in all still hold a text beside it.
_MOST_NAME = 12

KEYS = {
    "s": f"sort by the next of: {', '.join(ORDERS)}",
    "g": f"group by the next of: {', '.join(BY)}; then sockets again",
    "/": "show only sockets of which these words are said: program, process, address, port, way; esc shows all",
    "space p": "pause: the screen stands still, counting goes on",
    "up down": "to another socket; page up and page down to more of them",
    "enter": "the socket under the cursor: its figures, its stages, its laws",
    "n": "notes in full: why, and what to do",
    "left right": "of a recording, and of what has ended: the second before, the next one",
    "w": "save a recording of what was counted until now; nettrace report FILE shows it",
    "q": "leave: the report follows",
    "?": "this page",
}
WORDS = {
    "now": "bytes a second, since the look before",
    "copies per byte": "sent: by the send call and after it, in a single second by the call alone; read: to the reader,"
    " a peek too",
    "n/a": "nobody observed it, or not yet; it is never printed as 0",
    "completions outstanding": "zero-copy sends whose notification is still to come",
}


class Over(ModalScreen[None]):
    """A text in place of the view; esc, q and enter go back."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter,question_mark,n", "dismiss", "back"),
    ]
    CSS = "Over { background: ansi_default; } Over VerticalScroll { padding: 0 1; }"

    def __init__(self, title: str, content: str | Group) -> None:
        super().__init__()
        self._title, self._content = title, content

    def compose(self) -> ComposeResult:
        """A title, and what there is to read, which scrolls."""
        with VerticalScroll():
            yield Static(Text(f"{self._title} (esc goes back)\n", style="bold"))
            yield Static(self._content, id="text", markup=False)


def help_page() -> Over:
    """The keys, and the words."""
    return Over("keys and words", Group(_pairs(KEYS), Text(), _pairs(WORDS)))


def _pairs(texts: Mapping[str, str]) -> Table:
    """Names, and what each means beside it; lines that are too long go on below their beginning."""
    table = Table.grid(padding=(0, 2))
    table.add_column(max_width=_MOST_NAME)
    for name, text in texts.items():
        table.add_row(Text(name, style="bold"), Text(text))
    return table


def socket_page(detail: Detail) -> Over:
    """One socket: its figures, its stages, its laws."""
    socket = detail.socket
    parts = (_facts(socket), Text(), _stages(detail), Text(), _laws(detail))
    return Over(printable(name_of(socket)), Group(*parts))


def _facts(socket: Socket) -> Table:
    table = Table.grid(padding=(0, 2))
    peer = f"{socket.peer_comm} {socket.peer_pids[0]}" if socket.peer_comm and socket.peer_pids else "n/a"
    facts: dict[str, object] = {
        "program": who_of(socket),
        "at the other end": peer,
        "link": socket.link or "n/a",
        "state": "ended" if socket.ended else "lives",
        "made": "before it was watched" if socket.born == "before" else f"at {socket.first_s:.3f} s",
        "sent": f"{socket.sent_bytes:,} B by {ways_of(socket) or 'no call'}",
        "read": f"{socket.read_bytes:,} B",
        "left IP": f"{socket.left.bytes:,} B in {socket.left.packets:,} skbs, {socket.left.again:,} B of it again",
        "came from IP": f"{socket.came.bytes:,} B in {socket.came.packets:,} skbs",
        "dropped on this machine": format_count(socket.dropped_bytes),
        "send calls refused": f"EAGAIN {socket.refused.eagain:,}, ENOBUFS {socket.refused.enobufs:,}",
        "completions": _completions(socket),
    }
    for name, value in facts.items():
        table.add_row(Text(name, style="dim"), Text(printable(str(value))))
    return table


def _completions(socket: Socket) -> str:
    done = socket.completions
    if done is None:
        return "n/a"
    return f"{done.total:,}: {done.copied:,} copied; taken by the program: {format_count(done.reaped)}"


def _stages(detail: Detail) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", highlight=False)
    for column in ("stage", "where in the kernel", "bytes", "seen by"):
        table.add_column(column, justify="right" if column == "bytes" else "left")
    for entry in detail.entries:
        seen = printable(entry.note or entry.source)
        table.add_row(
            entry.stage.replace("_", " "), Text(printable(entry.where)), format_count(entry.bytes), Text(seen)
        )
    return table


def _laws(detail: Detail) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", highlight=False)
    for column in ("law", "", "left", "right", "statement"):
        table.add_column(column, justify="right" if column in ("left", "right") else "left")
    for law in detail.laws:
        left, right = format_count(law.left), format_count(law.right)
        told = f"{law.statement}; {law.note}" if law.note else law.statement
        table.add_row(law.id, str(law.state), left, right, Text(printable(told)))
    return table
