"""Tables that only a page has room for: each socket with what was done to its bytes, and each law with its counts."""

from __future__ import annotations

from collections import defaultdict

from tracer.books.groups import busiest
from tracer.books.later_copies import LaterCopies
from tracer.books.socket_laws import laws_of
from tracer.model import LawState
from tracer.model.socket_recording import SocketRecording
from tracer.model.sockets import PINNED, READ_BY_COPY, SENT_BY_COPY, Socket, SocketLaw
from tracer.reports.html.grid import Cell, Grid, Row
from tracer.reports.socket_lists import name_of, ways_of, who_of
from tracer.units import format_count

# Sockets that the page lists; the rest is one row. A page of 30,000 sockets stays below 2 MB with it.
MOST_SOCKETS = 500
# Broken laws that are told socket by socket.
_MOST_BROKEN = 20
_HEAD = [
    "socket",
    "program",
    "sent",
    "read",
    "by",
    "copied in",
    "pinned",
    "copied later",
    "copied out",
    "link",
    "books",
]
_NUMBERS = ("sent", "read", "copied in", "pinned", "copied later", "copied out")


def sockets_grid(recording: SocketRecording) -> Grid:
    """The busiest sockets with what was done to their bytes, and the rest in one row."""
    listed, rest = busiest(recording.sockets, MOST_SOCKETS)
    later = LaterCopies(recording)
    rows = [Row(_cells(socket, later)) for socket in listed]
    if rest or recording.unlisted_sockets:
        rows.append(_rest(recording, listed, len(rest) + recording.unlisted_sockets))
    numbers = [name in _NUMBERS for name in _HEAD]
    return Grid("Sockets", _HEAD, numbers, rows, filtered="address, port, program, way or link")


def _cells(socket: Socket, later: LaterCopies) -> list[Cell]:
    copied = None if socket.sent_by("unknown") else socket.sent_by(*SENT_BY_COPY)
    counts = (copied, socket.sent_by(*PINNED), later.of(socket).bytes, socket.read_by(*READ_BY_COPY))
    return [
        Cell(name_of(socket).replace(" > ", "\n> ")),
        Cell(who_of(socket)),
        *map(_amount, (socket.sent_bytes, socket.read_bytes)),
        Cell(ways_of(socket)),
        *map(_amount, counts),
        Cell(socket.link or "n/a"),
        _books(socket),
    ]


def _amount(count: int | None) -> Cell:
    return Cell(format_count(count), "" if count else "nothing")


def _books(socket: Socket) -> Cell:
    states = {law.state: law for law in laws_of(socket)}
    if LawState.BROKEN in states:
        return Cell(f"broken: {states[LawState.BROKEN].id}", "bad")
    return Cell("unknown", "unsure") if LawState.UNKNOWN in states else Cell("balance", "good")


def _rest(recording: SocketRecording, listed: list[Socket], more: int) -> Row:
    """What all have, less what the listed ones have."""
    totals = recording.totals
    sent = totals.sent_bytes - sum(socket.sent_bytes for socket in listed)
    read = totals.read_bytes - sum(socket.read_bytes for socket in listed)
    cells = [Cell(f"{more:,} more"), Cell(""), Cell(format_count(sent)), Cell(format_count(read))]
    return Row([*cells, *[Cell("")] * (len(_HEAD) - len(cells))], is_rest=True)


class Judged:
    """The laws of all sockets: judged once, because there may be many."""

    def __init__(self, sockets: list[Socket]) -> None:
        self._counts: defaultdict[tuple[str, str], dict[LawState, int]] = defaultdict(
            lambda: dict.fromkeys(LawState, 0)
        )
        self._broken: list[tuple[Socket, SocketLaw]] = []
        for socket in sockets:
            for law in laws_of(socket):
                self._count(socket, law)

    def _count(self, socket: Socket, law: SocketLaw) -> None:
        self._counts[law.id, law.statement][law.state] += 1
        if law.state is LawState.BROKEN and len(self._broken) < _MOST_BROKEN:
            self._broken.append((socket, law))

    @property
    def is_sound(self) -> bool:
        """Whether no law of any socket is broken."""
        return not self._broken

    @property
    def unknown(self) -> int:
        """Laws of all sockets that could not be judged."""
        return sum(states[LawState.UNKNOWN] for states in self._counts.values())

    def grids(self) -> list[Grid]:
        """How many sockets keep each law, and the first ones that break one."""
        rows = [
            Row([Cell(name), *(_number(state, states[state]) for state in LawState), Cell(statement)])
            for (name, statement), states in sorted(self._counts.items())
        ]
        laws = Grid("Laws", ["law", *LawState, "statement"], [False, True, True, True, False], rows)
        return [laws, Grid("Broken laws", _BREACH, [False, False, True, True, False], [*map(_breach, self._broken)])]


_BREACH = ["socket", "law", "left", "right", "note"]
_TONES = {LawState.HOLDS: "good", LawState.BROKEN: "bad", LawState.UNKNOWN: "unsure"}


def _number(state: LawState, number: int) -> Cell:
    return Cell(format_count(number), _TONES[state] if number else "nothing")


def _breach(broken: tuple[Socket, SocketLaw]) -> Row:
    socket, law = broken
    texts = (name_of(socket), law.id, format_count(law.left), format_count(law.right), law.note)
    return Row([Cell(text) for text in texts])
