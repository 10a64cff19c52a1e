"""What runs, as the source of a live view: rows that come and go, by a session that only pretends. Pure."""

from __future__ import annotations

from concurrent.futures import wait
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, NoReturn, cast

import pytest

from tests.row_samples import raw_sender
from tests.socket_samples import recording, sender
from tracer.books.live import Query, State, seconds_sent
from tracer.books.row_table import RowTable
from tracer.books.socket_rows import Row
from tracer.books.ways import Surroundings, socket_of
from tracer.model.socket_recording import Finding, SocketRecording
from tracer.model.sockets import DeferredCopy, Socket, Totals, Transfer
from tracer.observers.loading import Refusal
from tracer.observers.sockets import Instant
from tracer.reports.live.plain import one_line
from tracer.runs.live import Live, Newest
from tracer.runs.session import Session

_TOTALS = Totals(sent={"copy": Transfer(calls=9, bytes=777)})


def instant(at_s: float, *rows: bytes) -> Instant:
    table = RowTable(b"".join(rows))
    return Instant(round(at_s * 1e9), table.sums(), table)


@dataclass
class Pretended:
    """A session whose rows a test says."""

    first: Instant = field(default_factory=lambda: instant(10.0))
    ended: list[bytes] = field(default_factory=list)
    over: bool = False
    begin_ns: int = 10_000_000_000
    title: str = "curl 7"
    ends: int = 0

    def __post_init__(self) -> None:
        self.observer: Any = SimpleNamespace(
            instant=lambda: self.first,
            ended_since=lambda number: self.ended[number:],
            notified=dict,
            unlisted=0,
            programs=SimpleNamespace(calls="fexit", attached=["inet_sk_error_report"]),
        )

    @property
    def subject(self) -> Pretended:
        """Its own."""
        return self

    def is_over(self) -> bool:
        return self.over

    def leave(self) -> None:
        raise AssertionError("a view does not end what it shows")

    def sockets(self, rows: list[Row]) -> list[Socket]:
        return [socket_of(row, Surroundings(by_functions=True)) for row in rows]

    def so_far(self) -> SocketRecording:
        findings = [Finding(code="lost", sentence="so far"), Finding(code="left-running", sentence="of the end")]
        return recording(findings=findings)

    def end(self) -> SocketRecording:
        self.ends += 1
        return recording(sender(), totals=_TOTALS)


def live(session: Pretended, newest: Newest | None = None) -> Live:
    return Live(cast(Session, session), newest or Newest())


def moved(source: Live, order: str = "now") -> list[tuple[int, int, int | None, bool]]:
    return [(line.cookie, line.sent, line.now, line.ended) for line, _ in source.page(Query(order=order)).sockets]


def test_what_a_socket_moved_since_the_last_second() -> None:
    """A new one moved all that it has moved."""
    newest = Newest()
    source = live(Pretended(instant(10.0, raw_sender(1, 100))), newest)
    newest.put(instant(11.0, raw_sender(1, 130), raw_sender(2, 7)))
    frame = source.frame()

    assert moved(source) == [(1, 130, 30, False), (2, 7, 7, False)]
    assert (frame.living, frame.ended, frame.totals.sent_bytes) == (2, 0, 137)
    assert (frame.at_s, [sample.t for sample in frame.samples]) == (1.0, [0.0, 1.0])


def test_a_second_that_was_longer_is_no_faster() -> None:
    """Speeds of lines are divided by their interval, as those of the totals are."""
    newest = Newest()
    source = live(Pretended(instant(10.0, raw_sender(1, 100))), newest)
    newest.put(instant(12.0, raw_sender(1, 130)))
    frame = source.frame()

    assert moved(source) == [(1, 130, 15, False)]
    assert seconds_sent(frame.samples)[-1].rate == 15


def test_before_a_second_is_over_no_speed_is_known() -> None:
    """Neither of a socket nor of all: what was there at the first look has moved before it."""
    source = live(Pretended(instant(10.25, raw_sender(1, 100))))
    frame = source.frame()

    assert moved(source) == [(1, 100, None, False)]
    assert seconds_sent(frame.samples) == []
    assert "sent 100 B (copy 100.0 %), n/a now" in one_line(frame)


def test_the_totals_are_the_sums_of_the_lines() -> None:
    """One look for both: a socket that ends between the reading and the drawing is in both as it ended."""
    newest, session = Newest(), Pretended(instant(10.0, raw_sender(1, 100)))
    source = live(session, newest)
    session.ended += [raw_sender(1, 150, ended=1), raw_sender(3, 7, ended=1)]
    newest.put(instant(11.0, raw_sender(1, 140), raw_sender(2, 1)))
    frame = source.frame()
    page = source.page(Query())

    assert frame.totals.sent_bytes == sum(line.sent for line, _ in page.sockets) == 158
    assert frame.samples[-1].sent == {"copy": 158}


def test_of_sockets_without_a_row_the_kernel_knows_the_sums() -> None:
    """More have ended than are kept: the totals are its own."""
    newest, session = Newest(), Pretended(instant(10.0, raw_sender(1, 100)))
    source = live(session, newest)
    session.observer.unlisted = 3
    newest.put(instant(11.0, raw_sender(1, 140))._replace(counters=RowTable(raw_sender(9, 1000)).sums()))

    assert source.frame().totals.sent_bytes == 1000


def test_a_socket_that_has_ended_stays() -> None:
    """In the second of its end it moved what it had not moved before; a row that is in both lists is one socket."""
    newest, session = Newest(), Pretended(instant(10.0, raw_sender(1, 100)))
    source = live(session, newest)
    session.ended.append(raw_sender(1, 150, ended=1))
    newest.put(instant(11.0, raw_sender(1, 140), raw_sender(2, 1)))
    source.frame()
    once = moved(source)
    newest.put(instant(12.0, raw_sender(2, 1)))
    frame = source.frame()

    assert once == [(1, 150, 50, True), (2, 1, 1, False)]
    assert moved(source, "all") == [(1, 150, 0, True), (2, 1, 0, False)]
    assert (frame.living, frame.ended) == (1, 1)


def test_nothing_new_changes_nothing() -> None:
    """The screen asks more often than rows are read."""
    newest = Newest()
    source = live(Pretended(instant(10.0, raw_sender(1, 100))), newest)
    newest.put(instant(11.0, raw_sender(1, 130)))
    frames = [source.frame() for _ in range(3)]

    assert moved(source) == [(1, 130, 30, False)]
    assert len({(frame.at_s, len(frame.samples)) for frame in frames}) == 1


def test_only_what_is_shown_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 500 rows those of a page."""
    decoded: list[int] = []
    as_it_is = Pretended.sockets

    def count(self: Pretended, rows: list[Row]) -> list[Socket]:
        decoded.append(len(rows))
        return as_it_is(self, rows)

    monkeypatch.setattr(Pretended, "sockets", count)
    source = live(Pretended(instant(10.0, *(raw_sender(at, at) for at in range(500)))))
    source.frame()
    page = source.page(Query(most=20))

    assert (decoded, page.number, len(page.sockets)) == ([20], 500, 20)


def test_words_are_found_in_rows() -> None:
    """A socket whose caller is not known yet is looked at again."""
    newest = Newest()
    source = live(Pretended(instant(10.0, raw_sender(1, 5, owned=0), raw_sender(2, 6))), newest)
    before = source.page(Query(words="curl")).number
    newest.put(instant(11.0, raw_sender(1, 5), raw_sender(2, 6)))
    source.frame()

    assert (before, source.page(Query(words="curl")).number) == (1, 2)


def test_groups_are_of_what_is_known() -> None:
    """One that has no caller yet is asked again."""
    newest = Newest()
    source = live(Pretended(instant(10.0, raw_sender(1, 5, owned=0), raw_sender(2, 6))), newest)
    before = {group.name: group.sockets for group in source.groups("program", Query())}
    newest.put(instant(11.0, raw_sender(1, 5), raw_sender(2, 6)))
    source.frame()

    assert before == {"(no caller) to :80": 1, "curl to :80": 1}
    assert [(group.name, group.sockets, group.sent) for group in source.groups("program", Query())] == [
        ("curl to :80", 2, 11)
    ]


def test_findings_of_the_end_are_not_told_in_the_middle() -> None:
    """They come from whole recordings, which a thread makes."""
    source = live(Pretended())
    source.frame()
    wait([source._looks._coming] if source._looks._coming else [])

    assert [finding.sentence for finding in source.frame().findings] == ["so far"]


def test_pinned_pages_are_unknown_until_they_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """And then what was found is told of what had been sent until then, not of what was sent since."""
    pinned = {"sent_copy_bytes": 0, "sent_copy_calls": 0, "sent_zerocopy_calls": 1}
    copied = sender(
        sent={"zerocopy": Transfer(calls=1, bytes=100)},
        deferred=[DeferredCopy(caller="skb_orphan_frags_rx", events=1, bytes=50)],
    )
    looked = recording(copied, totals=Totals(sent=copied.sent, deferred=copied.deferred))
    monkeypatch.setattr(Pretended, "so_far", lambda _self: looked)
    source = live(Pretended(instant(10.0, raw_sender(1, 0, **pinned, sent_zerocopy_bytes=900))))
    before = source.frame()
    wait([source._looks._coming] if source._looks._coming else [])
    after = source.frame()

    assert (before.later.bytes, before.send_copies) == (None, None)
    assert (after.later.bytes, after.send_copies, after.totals.pinned_bytes) == (50, 0.5, 900)
    assert after.later.note.startswith("until 1 s: ")


def test_a_look_that_is_refused_costs_no_view(monkeypatch: pytest.MonkeyPatch) -> None:
    """There are too many files open: the figures go on, and what was found before stands."""

    def refuse(_self: Pretended) -> NoReturn:
        raise Refusal(24, "Too many open files")

    monkeypatch.setattr(Pretended, "so_far", refuse)
    source = live(Pretended())
    source.frame()
    wait([source._looks._coming] if source._looks._coming else [])

    assert source.frame().findings == []


def test_the_end_is_the_recording() -> None:
    """Watching ends once, when nobody is left; from then on the recording is shown, and gone through."""
    session = Pretended(instant(10.0, raw_sender(1, 100)))
    source = live(session)
    can_step = source.step(0)
    session.over = True
    frame = source.frame()

    assert (can_step, source.step(-1), session.ends) == (False, True, 1)
    assert (frame.state, frame.title, frame.totals) == (State.ENDED, "curl 7", _TOTALS)
    assert source.page(Query()).sockets[0][1] == sender()
    assert source.detail(1) is not None
    assert source.end() is source.recording()
    assert session.ends == 1


def test_one_socket_while_it_lives() -> None:
    """With its laws, of which those that say nothing yet are unknown; none of one that has gone."""
    source = live(Pretended(instant(10.0, raw_sender(1, 100))))
    detail = source.detail(1)

    assert detail is not None
    assert detail.socket.sent_bytes == 100
    assert source.detail(2) is None
