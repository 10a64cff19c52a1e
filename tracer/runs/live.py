"""What runs, as the source of a live view: each second's rows as they were read, and now and then a whole recording."""

from __future__ import annotations

import contextlib
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from tracer.books.copies import copies_of_sent
from tracer.books.groups import BY
from tracer.books.later_copies import Later, LaterCopies
from tracer.books.live import (
    Detail,
    Frame,
    Line,
    Page,
    Query,
    State,
    Together,
    groups_of,
    outstanding,
    page_of,
    words_of,
)
from tracer.books.replay import Replay
from tracer.books.row_table import RowTable
from tracer.books.socket_laws import laws_of
from tracer.books.socket_ledger import ledger_of
from tracer.books.socket_rows import Row
from tracer.books.ways import totals_of
from tracer.model.socket_recording import Finding, Sample, SocketRecording
from tracer.model.sockets import READ_WAYS, SEND_WAYS, Socket, Totals
from tracer.observers.loading import Refusal
from tracer.observers.sockets import Instant
from tracer.runs.session import Session
from tracer.runs.socket_recording import sample_of

# Of one CPU: a whole recording takes 60 µs a socket, and its findings need not be there in the same second.
_SHARE_OF_LOOKS = 0.003
_MOST_SECONDS = 3600
_SENT = tuple(f"sent_{way}_bytes" for way in SEND_WAYS)
_READ = tuple(f"read_{way}_bytes" for way in READ_WAYS if way != "peek")


class Looks:
    """Whole recordings, made in a thread of its own, as often as their cost allows."""

    def __init__(self, look: Callable[[], SocketRecording]) -> None:
        self._look = look
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="looks")
        self._coming: Future[tuple[SocketRecording, float]] | None = None
        self._due = 0.0
        self.latest: SocketRecording | None = None

    def tick(self) -> bool:
        """Take what has come, and begin another one if it is time; whether there is a new one."""
        before = self.latest
        if self._coming is not None and self._coming.done():
            coming, self._coming = self._coming, None
            # For want of memory or of descriptors: one is missed, as a sample is.
            with contextlib.suppress(Refusal):
                self.latest, spent_s = coming.result()
                self._due = time.monotonic() + spent_s / _SHARE_OF_LOOKS
        if self._coming is None and time.monotonic() >= self._due:
            self._coming = self._executor.submit(self._timed)
        return self.latest is not before

    def _timed(self) -> tuple[SocketRecording, float]:
        before = time.thread_time()
        return self._look(), time.thread_time() - before

    def close(self) -> None:
        """Wait for the one that is being made."""
        self._executor.shutdown()


class Rows:
    """Raw rows of all sockets, those that have ended too, by cookie; only what is shown is decoded."""

    def __init__(self) -> None:
        self._living: dict[int, tuple[RowTable, int]] = {}
        self._ended: dict[int, tuple[RowTable, int]] = {}
        self._gone: list[Line] = []
        self._just_gone: list[Line] = []
        self._moved: dict[int, int] = {}
        self._of_ended: Counter[str] = Counter()
        self.lines: list[Line] = []
        self.counters: dict[str, int] = {}

    def take(self, living: RowTable, ended: RowTable, seconds: float | None) -> None:
        """What lives now, and what has ended since the last time.

        Args:
            seconds: Since then; None at the first time, when nothing is known of a second.
        """
        self._gone += [line._replace(now=0) for line in self._just_gone]
        gone = _lines(ended, self._moved, seconds, has_ended=True)
        lines = _lines(living, self._moved, seconds, has_ended=False)
        self._ended |= {line.cookie: (ended, at) for at, line in enumerate(gone)}
        self._living = {line.cookie: (living, at) for at, line in enumerate(lines)}
        self._moved = {line.cookie: line.moved for line in lines}
        self._just_gone = gone
        self.lines = [line for line in lines if line.cookie not in self._ended] + self._gone + gone
        self.counters = self._sums(living, ended)

    def _sums(self, living: RowTable, ended: RowTable) -> dict[str, int]:
        """Each counter over these rows, so that a total is the sum of its lines; a row that is in both counts once."""
        self._of_ended.update(ended.sums())
        sums = {name: number + self._of_ended[name] for name, number in living.sums().items()}
        for cookie in self._living.keys() & self._ended.keys():
            for name, number in living.row(self._living[cookie][1]).counters.items():
                sums[name] -= number
        return sums

    def __contains__(self, cookie: object) -> bool:
        """False of a socket that has gone and whose row has not come yet."""
        return cookie in self._ended or cookie in self._living

    def row(self, cookie: int) -> Row:
        """A socket's."""
        table, at = self._ended.get(cookie) or self._living[cookie]
        return table.row(at)

    @property
    def ended(self) -> int:
        """How many have ended."""
        return len(self._gone) + len(self._just_gone)


def _lines(table: RowTable, before: dict[int, int], seconds: float | None, *, has_ended: bool) -> list[Line]:
    if not len(table):
        return []
    columns = zip(table.column("cookie"), table.bytes_of(_SENT), table.bytes_of(_READ), strict=True)
    return [
        Line(cookie, sent, read, _rate(sent + read - before.get(cookie, 0), seconds), has_ended)
        for cookie, sent, read in columns
    ]


def _rate(more: int, seconds: float | None) -> int | None:
    return round(max(0, more) / seconds) if seconds else None


class Newest:
    """Hands what one thread has read on to another: the newest alone, once."""

    def __init__(self) -> None:
        self._instants: deque[Instant] = deque(maxlen=1)

    def put(self, instant: Instant) -> None:
        """By the thread that reads."""
        self._instants.append(instant)

    def take(self) -> Instant | None:
        """None where there is nothing new."""
        try:
            return self._instants.pop()
        except IndexError:
            return None


class Live:
    """What runs; its recording, from when it has ended.

    Args:
        newest: Where the session's instants come.
    """

    def __init__(self, session: Session, newest: Newest) -> None:
        self._session, self._newest = session, newest
        self._rows, self._rows_come = Rows(), 0
        self._samples: deque[Sample] = deque(maxlen=_MOST_SECONDS)
        self._looks = Looks(session.so_far)
        self._known: dict[int, Socket] = {}
        self._replay: Replay | None = None
        self._now = session.observer.instant()
        self._take(self._now, None)

    def frame(self) -> Frame:
        """The figures of the last second that was read; those of the end, from then on."""
        if self._replay is None and self._session.subject.is_over():
            self.end()
        if self._replay is not None:
            return self._replay.frame()
        if self._looks.tick() and (whole := self._looks.latest) is not None:
            self._known = {socket.cookie: socket for socket in whole.sockets}
        if (fresh := self._newest.take()) is not None:
            self._update(fresh)
        return self._running(self._looks.latest)

    def _running(self, whole: SocketRecording | None) -> Frame:
        totals, observer = self._totals(), self._session.observer
        later, looked_at = _later(whole, totals)
        return Frame(
            title=self._session.subject.title,
            at_s=(self._now.at_ns - self._session.begin_ns) / 1e9,
            state=State.RUNNING,
            totals=totals,
            samples=list(self._samples),
            later=later,
            send_copies=copies_of_sent(looked_at, later.bytes),
            calls=observer.programs.calls,
            living=len(self._now.living),
            ended=self._rows.ended + observer.unlisted,
            outstanding=outstanding(totals, observer.programs.attached),
            findings=[] if whole is None else _that_stand(whole),
        )

    def _totals(self) -> Totals:
        """Over all sockets; UDP's ways are those of its calls."""
        observer, counters = self._session.observer, self._counters()
        # A table of its own, which is looked through only where somebody has sent that way.
        notified = observer.notified() if counters["sent_uring_zerocopy_calls"] else {}
        attached = frozenset(observer.programs.attached)
        return totals_of(counters, [], True, observer.programs.calls == "fexit", attached, None, notified)

    def _counters(self) -> dict[str, int]:
        """Those of the rows that are shown, so that lines and totals are of one look; of rows that could not be kept
        the kernel's own sums know alone.
        """
        return self._now.counters if self._session.observer.unlisted else self._rows.counters

    def _update(self, now: Instant) -> None:
        """What has been read since the last time, if anything has."""
        begin_s = self._session.begin_ns / 1e9
        # As a sample's time is written, so that a line's speed is that of the totals.
        if (seconds := round(now.at_ns / 1e9 - begin_s, 3) - self._samples[-1].t) > 0:
            self._take(now, seconds)

    def _take(self, now: Instant, seconds: float | None) -> None:
        ended = self._session.observer.ended_since(self._rows_come)
        self._rows_come += len(ended)
        self._rows.take(now.living, RowTable(b"".join(ended)).own(), seconds)
        self._now = now
        by_functions, begin_s = self._session.observer.programs.calls == "fexit", self._session.begin_ns / 1e9
        self._samples.append(sample_of(now.at_ns, self._counters(), begin_s, by_functions))

    def page(self, query: Query) -> Page:
        """Some sockets; a row is decoded when it is shown."""
        if self._replay is not None:
            return self._replay.page(query)
        return page_of(self._rows.lines, query, self._words, self._sockets)

    def groups(self, by: str, query: Query) -> list[Together]:
        """All sockets in groups, by what was known of each when it was last looked at."""
        if self._replay is not None:
            return self._replay.groups(by, query)
        return groups_of(self._rows.lines, query, self._words, lambda cookie: BY[by](self._known_socket(cookie)))

    def _sockets(self, cookies: list[int]) -> list[Socket]:
        return self._session.sockets([self._rows.row(cookie) for cookie in cookies])

    def _words(self, cookie: int) -> str:
        return words_of(self._known_socket(cookie))

    def _known_socket(self, cookie: int) -> Socket:
        """As it was in the last whole recording; decoded now, if it was not there or nobody had called."""
        known = self._known.get(cookie)
        if known is None or known.comm is None:
            known = self._known[cookie] = self._sockets([cookie])[0]
        return known

    def detail(self, cookie: int) -> Detail | None:
        """One of them, as its row was read; of later copies what was so when they were last looked at."""
        if self._replay is not None:
            return self._replay.detail(cookie)
        if cookie not in self._rows:
            return None
        socket, whole = self._sockets([cookie])[0], self._looks.latest
        later = LaterCopies(whole).of(socket) if whole is not None else _NOT_LOOKED
        return Detail(socket, ledger_of(socket, self._session.observer.programs.calls, later), laws_of(socket))

    def recording(self) -> SocketRecording:
        """All that is known."""
        return self._session.so_far() if self._replay is None else self._replay.recording()

    def step(self, by: int) -> bool:
        """Other seconds can be looked at when it has ended."""
        return self._replay is not None and self._replay.step(by)

    def end(self) -> SocketRecording:
        """Stop watching; the recording, which is shown from here on."""
        if self._replay is None:
            title = self._session.subject.title
            self._looks.close()
            self._replay = Replay(self._session.end(), State.ENDED, title)
        return self._replay.recording()


_NOT_LOOKED = Later(None, "", "", "not looked at yet")
# Of what lives on they say nothing.
_OF_THE_END = frozenset({"left-running", "in-progress", "unused-socket", "no-socket"})


def _later(whole: SocketRecording | None, totals: Totals) -> tuple[Later, Totals]:
    """What became of pinned pages, and of all that was sent until that was looked at."""
    if not totals.pinned_bytes:
        return Later(0, "", "nothing was pinned"), totals
    if whole is None or not whole.totals.pinned_bytes:
        return _NOT_LOOKED, totals
    found = LaterCopies(whole).in_all()
    told = f"until {whole.window.elapsed_s:.0f} s: {found.note or found.cause or found.source}"
    return found._replace(note=told), whole.totals


def _that_stand(whole: SocketRecording) -> list[Finding]:
    """What is said of the end of a watching is not said in the middle."""
    return [finding for finding in whole.findings if finding.code not in _OF_THE_END]
