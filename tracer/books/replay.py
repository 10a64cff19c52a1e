"""A recording as the source of a live view: its seconds by its samples, its sockets as they ended. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

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
    line_of,
    outstanding,
    page_of,
    words_of,
)
from tracer.books.socket_laws import laws_of
from tracer.books.socket_ledger import ledger_of
from tracer.model.socket_recording import Sample, SocketRecording
from tracer.model.sockets import Totals, Transfer

_START = Sample(t=0.0)
# A sample so near to the end is left out: of a few milliseconds no speed is told.
_LEAST_SECOND = 0.5


class Replay:
    """Shows its end first."""

    def __init__(self, recording: SocketRecording, state: State = State.RECORDED, title: str = "") -> None:
        self._recording, self._state = recording, state
        self._title = title or " ".join(recording.subject.argv)
        self._sockets = {socket.cookie: socket for socket in recording.sockets}
        self._later = LaterCopies(recording)
        totals = recording.totals
        end = Sample(t=recording.window.elapsed_s, sent=_bytes(totals.sent), read=_bytes(totals.read))
        earlier = [sample for sample in recording.samples if _START.t < sample.t <= end.t - _LEAST_SECOND]
        self._samples = [_START, *earlier, end]
        self._at = len(self._samples)

    def frames(self) -> Iterator[Frame]:
        """Of each second, the first one first."""
        for at in range(2, len(self._samples) + 1):
            self._at = at
            yield self.frame()

    def frame(self) -> Frame:
        """Of the second that is looked at."""
        recording = self._recording
        is_end = self._at == len(self._samples)
        totals = recording.totals if is_end else _totals_at(self._samples[self._at - 1])
        later = self._later.in_all() if is_end else _later_at(totals)
        return Frame(
            title=self._title,
            at_s=self._samples[self._at - 1].t,
            state=self._state,
            totals=totals,
            samples=self._samples[: self._at],
            later=later,
            send_copies=copies_of_sent(totals, later.bytes),
            calls=recording.hooks.calls,
            living=sum(not socket.ended for socket in recording.sockets),
            ended=sum(socket.ended for socket in recording.sockets) + recording.unlisted_sockets,
            outstanding=outstanding(totals, recording.hooks.attached) if is_end else None,
            findings=recording.findings,
            is_of_one_moment=is_end,
        )

    def page(self, query: Query) -> Page:
        """Sockets as they were in the end, whatever second is looked at: samples are of all of them together."""
        return page_of(self._lines(), query, self._words, lambda cookies: [self._sockets[one] for one in cookies])

    def groups(self, by: str, query: Query) -> list[Together]:
        """The same in groups."""
        return groups_of(self._lines(), query, self._words, lambda cookie: BY[by](self._sockets[cookie]))

    def _lines(self) -> list[Line]:
        return list(map(line_of, self._sockets.values()))

    def _words(self, cookie: int) -> str:
        return words_of(self._sockets[cookie])

    def detail(self, cookie: int) -> Detail | None:
        """One of them."""
        if (socket := self._sockets.get(cookie)) is None:
            return None
        entries = ledger_of(socket, self._recording.hooks.calls, self._later.of(socket))
        return Detail(socket, entries, laws_of(socket))

    def recording(self) -> SocketRecording:
        """It."""
        return self._recording

    def step(self, by: int) -> bool:
        """Look at another second."""
        self._at = min(len(self._samples), max(1, self._at + by))
        return True


def _bytes(transfers: Mapping[str, Transfer]) -> dict[str, int]:
    return {way: transfer.bytes for way, transfer in transfers.items()}


def _totals_at(sample: Sample) -> Totals:
    """Bytes alone: nothing else is among the samples."""
    sent, read = ({way: Transfer(bytes=number) for way, number in ways.items()} for ways in (sample.sent, sample.read))
    return Totals(sent=sent, read=read)


def _later_at(totals: Totals) -> Later:
    return Later(None, "", "", "samples do not tell") if totals.pinned_bytes else Later(0, "", "nothing was pinned")
