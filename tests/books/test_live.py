"""What a live view shows, as figures: pure, on literals."""

from __future__ import annotations

import msgspec
import pytest

from tests.socket_samples import reader, recording, sender
from tracer.books.live import (
    Line,
    Query,
    State,
    Together,
    groups_of,
    is_time_over,
    line_of,
    outstanding,
    page_of,
    seconds_read,
    seconds_sent,
    words_of,
)
from tracer.books.replay import Replay
from tracer.model.socket_recording import Sample
from tracer.model.sockets import Completions, Socket, Totals, Transfer
from tracer.model.watching import Window

LINES = [Line(1, 500, 0, 3, False), Line(2, 0, 90, 7, True), Line(3, 20, 30, 7, False)]
SAMPLES = [
    Sample(t=1.0, sent={"copy": 100}, read={"copy": 50, "peek": 10}),
    Sample(t=2.0, sent={"copy": 150, "splice": 150}, read={"copy": 50, "peek": 20}),
    Sample(t=4.0, sent={"copy": 150, "splice": 150}, read={"copy": 150, "mapped": 300, "peek": 20}),
]


def sockets(cookies: list[int]) -> list[Socket]:
    return [sender(cookie=cookie) for cookie in cookies]


def never(_cookie: int) -> str:
    raise AssertionError("nobody asked for words")


@pytest.mark.parametrize(
    ("order", "cookies"),
    [("now", [2, 3]), ("all", [1, 2]), ("sent", [1, 3]), ("read", [2, 3]), ("newest", [3, 2])],
)
def test_the_greatest_come_first(order: str, cookies: list[int]) -> None:
    """Equal in what they are ordered by: 2 moved more than 3 in all."""
    found = page_of(LINES, Query(order=order, most=2), never, sockets)

    assert [line.cookie for line, _ in found.sockets] == cookies
    assert [socket.cookie for _, socket in found.sockets] == cookies


def test_shown_and_rest_are_all() -> None:
    """What is not shown, above and below, is one line, so that the sum stays exact."""
    found = page_of(LINES, Query(order="sent", first=1, most=1), never, sockets)

    assert [line.cookie for line, _ in found.sockets] == [3]
    assert found.number == 3
    assert found.rest == Line(0, 500, 90, 10, False)


def test_groups_have_all_sockets_in_the_same_order() -> None:
    """By what they moved together; of a recording no second is known."""
    names = {1: "curl", 2: "nginx", 3: "nginx"}

    assert groups_of(LINES, Query(), never, names.__getitem__) == [
        Together("nginx", 2, 20, 120, 14),
        Together("curl", 1, 500, 0, 3),
    ]
    assert [group.name for group in groups_of(LINES, Query("sent"), never, names.__getitem__)] == ["curl", "nginx"]
    assert replayed().groups("program", Query(words="nginx")) == [Together("nginx :80", 1, 0, 10007, None)]


def test_words_leave_out_what_they_do_not_fit() -> None:
    """All of them must be said of a socket, in whatever case."""
    told = {1: "tcp 127.0.0.1:80 nginx send copy", 2: "udp 127.0.0.1:53 dns", 3: "tcp [::1]:80 nginx"}

    found = page_of(LINES, Query(words="NGINX 127"), told.__getitem__, sockets)

    assert [line.cookie for line, _ in found.sockets] == [1]
    assert (found.number, found.rest) == (1, Line(0, 0, 0, 0, False))


def test_a_socket_is_found_by_program_end_and_way() -> None:
    """As the screen writes them: without underscores."""
    words = words_of(sender(sent={"zerocopy_ignored": Transfer(calls=1, bytes=1)}))

    for part in ("curl", "127.0.0.1:40000", "tcp", "send zerocopy ignored", "7"):
        assert part in words


def test_seconds_are_told_apart() -> None:
    """Bytes a second, and copies per byte of these bytes; a peek copies and takes nothing."""
    sent, read = seconds_sent(SAMPLES), seconds_read(SAMPLES)

    assert [(one.rate, one.copies) for one in sent] == [(200.0, 0.25), (0.0, None)]
    assert [(one.rate, one.moved, one.copied) for one in read] == [(0.0, 0, 10), (200.0, 400, 100)]
    assert [one.copies for one in read] == [None, 0.25]


@pytest.mark.parametrize("way", ["unknown", "zerocopy", "uring_zerocopy"])
def test_a_second_does_not_tell_what_becomes_of_pinned_pages(way: str) -> None:
    """Nor how bytes of an unknown way were handed over: unknown is not 0."""
    unknown = [Sample(t=0.0), Sample(t=1.0, sent={"copy": 100, way: 7})]

    assert seconds_sent(unknown)[0].copies is None


@pytest.mark.parametrize(
    ("sent", "total", "hooks", "number"),
    [
        ({"zerocopy": 9}, 4, ("inet_sk_error_report",), 5),
        ({"zerocopy": 9, "uring_zerocopy": 2}, 4, ("inet_sk_error_report", "io_uring_complete"), 7),
        ({"zerocopy": 9, "uring_zerocopy": 2}, 4, ("inet_sk_error_report",), None),
        ({"zerocopy": 9}, 4, (), None),
        ({"copy": 9}, 0, ("inet_sk_error_report",), None),
    ],
)
def test_completions_that_are_still_to_come(
    sent: dict[str, int], total: int, hooks: tuple[str, ...], number: int | None
) -> None:
    """None where nobody watches them, or nobody asked for one."""
    totals = Totals(
        sent={way: Transfer(calls=calls, bytes=calls) for way, calls in sent.items()},
        completions=Completions(total=total) if total else None,
    )

    assert outstanding(totals, hooks) == number


def replayed() -> Replay:
    totals = Totals(
        sent={"copy": Transfer(calls=3, bytes=150), "splice": Transfer(calls=1, bytes=150)},
        read={"copy": Transfer(calls=2, bytes=170), "mapped": Transfer(calls=1, bytes=300)},
    )
    made = recording(sender(), reader(), totals=totals, samples=SAMPLES)
    return Replay(made)


def test_a_recording_is_shown_at_its_end() -> None:
    """With the totals of all; its window ends before its last sample is due."""
    frame = replayed().frame()

    assert (frame.state, frame.title) == (State.RECORDED, "/usr/bin/curl x")
    assert frame.totals.sent_bytes == 300
    assert frame.sockets == "2 sockets in all"


def test_a_recording_is_gone_through_by_its_seconds() -> None:
    """Neither before the first nor behind the last one."""
    made = recording(sender(), samples=SAMPLES, totals=Totals(sent={"copy": Transfer(calls=1, bytes=999)}))
    source = Replay(msgspec.structs.replace(made, window=Window(started="2026-01-01T00:00:00", elapsed_s=5.0)))

    steps = [(source.step(by), source.frame().at_s, source.frame().totals.sent_bytes) for by in (-1, -1, -9, 1, 9)]

    assert steps == [(True, 4.0, 300), (True, 2.0, 300), (True, 0.0, 0), (True, 1.0, 100), (True, 5.0, 999)]
    assert [frame.at_s for frame in source.frames()] == [1.0, 2.0, 4.0, 5.0]


def test_no_speed_is_told_of_a_moment() -> None:
    """A sample just before the end: what moved since the one before it is told of the whole time since."""
    made = recording(sender(), samples=[Sample(t=1.0, sent={"copy": 100}), Sample(t=1.98, sent={"copy": 300})])
    made = msgspec.structs.replace(
        made, totals=Totals(sent={"copy": Transfer(calls=1, bytes=300)}),
        window=Window(started="2026-01-01T00:00:00", elapsed_s=2.0),
    )  # fmt: skip

    assert [second.rate for second in seconds_sent(Replay(made).frame().samples)] == [100, 200]


def test_samples_do_not_tell_later_copies() -> None:
    """In a second of the middle they are unknown, and not 0."""
    pinned = Totals(sent={"zerocopy": Transfer(calls=1, bytes=10)})
    samples = [Sample(t=0.5, sent={"zerocopy": 5})]
    source = Replay(recording(samples=samples, totals=pinned))
    source.step(-1)

    assert source.frame().later.bytes is None


def test_one_socket_of_a_recording() -> None:
    """Its stages and its laws; none of one that is not in it."""
    source = replayed()
    detail = source.detail(1)

    assert detail is not None
    assert [entry.bytes for entry in detail.entries if entry.bytes] == [10007]
    assert {law.id for law in detail.laws} >= {"S1", "R1"}
    assert source.detail(77) is None


def test_a_line_has_what_a_socket_moved() -> None:
    """Seconds are not told apart in a recording's sockets."""
    assert line_of(sender()) == Line(1, 10007, 0, None, True)


@pytest.mark.parametrize(
    ("at_s", "most_s", "over"), [(0.0, 1, False), (0.9, 1, True), (1.9, 2, True), (2.9, 4, False), (9.0, None, False)]
)
def test_a_view_of_so_many_seconds_ends_after_so_many(at_s: float, most_s: float | None, over: bool) -> None:
    """A frame is of a moment just before its second is full."""
    frame = Replay(recording(sender())).frame()._replace(at_s=at_s)

    assert is_time_over(frame, most_s) is over
