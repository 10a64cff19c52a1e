"""What a live view shows: the figures of a moment, sockets in an order, one socket. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from heapq import nsmallest
from itertools import pairwise
from typing import NamedTuple, Protocol

from tracer.books.copies import copied_of_read, copied_of_sent
from tracer.books.later_copies import Later
from tracer.books.socket_ledger import SocketEntry
from tracer.model.socket_recording import Finding, Sample, SocketRecording
from tracer.model.sockets import Moved, Socket, SocketLaw, Totals, Transfer
from tracer.texts import counted


class State(StrEnum):
    """Whether there is more to come."""

    RUNNING = "live"
    ENDED = "has ended"
    RECORDED = "recording"


class Frame(NamedTuple):
    """What is known at a moment.

    Args:
        title: Whose sockets.
        at_s: Seconds since the watching began.
        samples: Of each second until then, the oldest first.
        later: What became of pinned pages, when that was last looked at.
        send_copies: Copies per byte sent, at the send call and after it, until then.
        calls: How calls are seen (Hooks.calls).
        living: Sockets that live.
        ended: Those that have ended, listed or not.
        outstanding: Zero-copy sends whose notification is still to come; None where nobody watches, or none was sent.
        findings: When they were last looked for.
        is_of_one_moment: False where sockets and findings are of the end, and the rest is of a second before it.
    """

    title: str
    at_s: float
    state: State
    totals: Totals
    samples: Sequence[Sample]
    later: Later
    send_copies: float | None
    calls: str
    living: int
    ended: int
    outstanding: int | None
    findings: Sequence[Finding]
    is_of_one_moment: bool = True

    @property
    def sockets(self) -> str:
        """How many; of what is over it is not told which of them lived in the second that is looked at."""
        if self.state is State.RUNNING:
            return f"{counted(self.living, 'socket')}, {self.ended:,} ended"
        return f"{counted(self.living + self.ended, 'socket')} in all"


class Line(NamedTuple):
    """What an order needs of a socket.

    Args:
        now: Bytes a second since the look before; None where looks are not told apart, or there was none before.
    """

    cookie: int
    sent: int
    read: int
    now: int | None
    ended: bool

    @property
    def moved(self) -> int:
        """Bytes, both ways."""
        return self.sent + self.read


ORDERS: dict[str, Callable[[Line], int]] = {
    "now": lambda line: line.now or 0,
    "all": lambda line: line.moved,
    "sent": lambda line: line.sent,
    "read": lambda line: line.read,
    "newest": lambda line: line.cookie,
}


class Query(NamedTuple):
    """Which sockets are wanted.

    Args:
        order: One of ORDERS, the greatest first; what is equal in it is ordered by all bytes.
        words: Parts of what must be said of a socket, in any case.
        first: So many are left out before.
    """

    order: str = "now"
    words: str = ""
    first: int = 0
    most: int = 10


class Page(NamedTuple):
    """Sockets in their order.

    Args:
        number: Sockets that the words fit, shown or not.
        rest: The others of these, as one.
    """

    sockets: list[tuple[Line, Socket]]
    number: int
    rest: Line


class Together(NamedTuple):
    """Sockets that share a name."""

    name: str
    sockets: int
    sent: int
    read: int
    now: int | None


class Detail(NamedTuple):
    """One socket, with what follows from its counters."""

    socket: Socket
    entries: list[SocketEntry]
    laws: list[SocketLaw]


class Source(Protocol):
    """Where a view has its figures from: what runs, or a recording."""

    def frame(self) -> Frame:
        """The figures of now."""

    def page(self, query: Query) -> Page:
        """Some sockets."""

    def groups(self, by: str, query: Query) -> list[Together]:
        """All that the words fit, in groups by one of tracer.books.groups.BY, in the order asked for."""

    def detail(self, cookie: int) -> Detail | None:
        """One of them; None where it has gone."""

    def recording(self) -> SocketRecording:
        """All that is known, to be saved."""

    def step(self, by: int) -> bool:
        """Look at another second, later or earlier by so many; False where there is none but now."""


def page_of(
    lines: Iterable[Line], query: Query, words: Callable[[int], str], sockets: Callable[[list[int]], list[Socket]]
) -> Page:
    """The sockets of a query.

    Args:
        words: What is said of a socket, by its cookie, in small letters; asked for where words are wanted.
        sockets: Sockets by their cookies; asked for those that are shown.
    """
    fitting = _fitting(lines, query, words)
    key, last = ORDERS[query.order], query.first + query.most
    ordered = nsmallest(last, fitting, key=lambda line: (-key(line), -line.moved, line.cookie))
    shown = ordered[query.first :]
    found = sockets([line.cookie for line in shown])
    return Page(list(zip(shown, found, strict=True)), len(fitting), _without(fitting, shown))


def groups_of(
    lines: Iterable[Line], query: Query, words: Callable[[int], str], name: Callable[[int], str]
) -> list[Together]:
    """The same sockets in groups.

    Args:
        name: Of the group of a socket, by its cookie.
    """
    members: defaultdict[str, list[Line]] = defaultdict(list)
    for line in _fitting(lines, query, words):
        members[name(line.cookie)].append(line)
    sums = {group: _without(found, []) for group, found in members.items()}
    key = ORDERS[query.order]
    names = sorted(sums, key=lambda group: (-key(sums[group]), -sums[group].moved, group))
    return [
        Together(group, len(members[group]), sums[group].sent, sums[group].read, sums[group].now) for group in names
    ]


def _fitting(lines: Iterable[Line], query: Query, words: Callable[[int], str]) -> list[Line]:
    wanted = query.words.lower().split()
    return [line for line in lines if all(word in words(line.cookie) for word in wanted)] if wanted else list(lines)


def _without(lines: list[Line], shown: list[Line]) -> Line:
    """What the others moved."""
    sent = sum(line.sent for line in lines) - sum(line.sent for line in shown)
    read = sum(line.read for line in lines) - sum(line.read for line in shown)
    now = sum(line.now or 0 for line in lines) - sum(line.now or 0 for line in shown)
    return Line(0, sent, read, None if any(line.now is None for line in lines) else now, False)


def words_of(socket: Socket) -> str:
    """What a filter looks into: protocol, ends, program, process, ways."""
    ways = (*(f"send {way}" for way in socket.sent), *(f"read {way}" for way in socket.read))
    told = (socket.protocol, socket.local, socket.peer, socket.comm or "", *map(str, socket.pids), *ways)
    return " ".join(told).replace("_", " ").lower()


def line_of(socket: Socket) -> Line:
    """The line of a socket of a recording."""
    return Line(socket.cookie, socket.sent_bytes, socket.read_bytes, None, socket.ended)


def outstanding(totals: Totals, attached: Iterable[str]) -> int | None:
    """Zero-copy sends whose notification is still to come; io_uring's are told of by another probe point."""
    numbers = {
        "inet_sk_error_report": totals.sent.get("zerocopy"),
        "io_uring_complete": totals.sent.get("uring_zerocopy"),
    }
    asked = {hook: moved.calls for hook, moved in numbers.items() if moved is not None}
    if not asked or not set(asked) <= set(attached):
        return None
    return max(0, sum(asked.values()) - (totals.completions.total if totals.completions else 0))


class Second(NamedTuple):
    """What moved between two samples.

    Args:
        copied: Bytes that the calls copied; None where the way of some is not known.
    """

    seconds: float
    moved: int
    copied: int | None

    @property
    def rate(self) -> float:
        """Bytes a second."""
        return self.moved / self.seconds

    @property
    def copies(self) -> float | None:
        """Copies per byte; None where nothing moved, too."""
        return self.copied / self.moved if self.moved and self.copied is not None else None


def seconds_sent(samples: Sequence[Sample]) -> list[Second]:
    """What send calls took, and copied; of what they pinned a second does not tell whether it is copied later."""
    return [
        Second(s, moved.sent_bytes, copied_of_sent(moved, None if moved.pinned_bytes else 0))
        for s, moved in _between(samples)
    ]


def seconds_read(samples: Sequence[Sample]) -> list[Second]:
    """What reads took, and copied."""
    return [Second(s, moved.read_bytes, copied_of_read(moved)) for s, moved in _between(samples)]


def _between(samples: Sequence[Sample]) -> Iterator[tuple[float, Moved]]:
    for before, after in pairwise(samples):
        if (seconds := after.t - before.t) > 0:
            yield seconds, Moved(sent=_more(before.sent, after.sent), read=_more(before.read, after.read))


def _more(before: dict[str, int], after: dict[str, int]) -> dict[str, Transfer]:
    """Calls are not among the samples; UDP's ways may change when its first packet has left."""
    return {way: Transfer(bytes=max(0, number - before.get(way, 0))) for way, number in after.items()}


def is_time_over(frame: Frame, most_s: float | None) -> bool:
    """Whether this is the last one to be shown: frames are a second apart, and each is of a moment just before."""
    return most_s is not None and frame.at_s + 0.5 >= most_s
