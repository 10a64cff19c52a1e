"""How a live view writes figures, on screens of any width."""

from __future__ import annotations

import re

import pytest

from tests.socket_samples import reader, recording, sender
from tracer.books.later_copies import Later
from tracer.books.live import Frame, Line, Page, Query, State, Together
from tracer.books.replay import Replay
from tracer.model.socket_recording import Finding, Sample
from tracer.model.sockets import Totals, Transfer
from tracer.reports.live import panels
from tracer.reports.live.groups import rows_of_groups
from tracer.reports.live.plain import one_line
from tracer.reports.live.sockets import columns_for, rows_of
from tracer.reports.live.words import columns, course, speed

SAMPLES = [
    Sample(t=0.0),
    Sample(t=1.0, sent={"copy": 1000}, read={"copy": 1000}),
    Sample(t=2.0, sent={"copy": 1000, "splice": 3000}, read={"copy": 1000}),
]


def frame(**changes: object) -> Frame:
    totals = Totals(
        sent={"copy": Transfer(calls=2, bytes=1000), "splice": Transfer(calls=1, bytes=3000)},
        read={"copy": Transfer(calls=1, bytes=1000)},
    )
    made = Frame(
        title="nginx 812", at_s=2.0, state=State.RUNNING, totals=totals, samples=SAMPLES,
        later=Later(0, "", "nothing was pinned"), send_copies=0.25, calls="fexit",
        living=3, ended=1, outstanding=None, findings=[],
    )  # fmt: skip
    return made._replace(**changes)  # type: ignore[arg-type]


def texts(rows: list[tuple[str, object]]) -> list[str]:
    return [text for text, _ in rows]


@pytest.mark.parametrize(
    ("values", "width", "bars"),
    [
        ([1.0, 1.0], 4, "  ██"),
        ([0.0, 0.0], 2, "▁▁"),
        ([None, 2.0, 1.0], 3, " █▅"),
        ([9.0, 1.0, 2.0], 2, "▅█"),
        ([], 3, "   "),
        ([1.0], 0, ""),
    ],
)
def test_a_course_begins_at_nothing(values: list[float | None], width: int, bars: str) -> None:
    """What is always 1 is high, what is always 0 is low, and what nobody knows is blank."""
    assert course(values, width) == bars


def test_speeds_are_told_in_bytes() -> None:
    """In whole ones below a kilobyte."""
    assert [speed(rate) for rate in (0, 1, 999.6, 12_345_678)] == ["0 B/s", "1 B/s", "1.0 kB/s", "12.3 MB/s"]


def test_numbers_stand_below_each_other() -> None:
    """Text to the left, numbers to the right."""
    assert columns([("way", "bytes"), ("copy", "7")], right=(1,)) == ["way   bytes", "copy      7"]


def test_a_line_tells_bytes_ways_copies_and_sockets() -> None:
    """In the last second all was spliced, and nothing was read."""
    line = one_line(frame(outstanding=2))

    assert line == (
        "   2.0 s  sent 4,000 B (splice 75.0 %, copy 25.0 %), 3.0 kB/s and 0 copies per byte now; "
        "read 1,000 B (copy 100.0 %), 0 B/s and n/a copies per byte now; 3 sockets, 1 ended; 2 completions outstanding"
    )


def test_figures_of_now_and_in_all() -> None:
    """A quarter of what was sent was copied, none of it in the last second."""
    sent, read = texts(panels.figures(frame(), 120))

    assert "sent 4,000 B, 3.0 kB/s" in sent
    assert "copies per byte 0, 0.25 in all" in sent
    assert "copies per byte n/a, 1 in all" in read


def test_copies_are_unknown_while_later_ones_are() -> None:
    """n/a, and never 0."""
    (sent, *_) = texts(panels.figures(frame(send_copies=None), 120))

    assert "n/a in all" in sent


def test_ways_and_stages_side_by_side_or_below() -> None:
    """As many lines as there are; nothing is lost where there is no room for both."""
    wide, narrow = texts(panels.tables(frame(), 120)), texts(panels.tables(frame(), 40))

    assert wide[1].split() == ["send:", "splice", "3,000", "75.0", "%", "3.0", "kB/s", "copy", "in", "1,000", "sendmsg"]
    assert len(narrow) == 4 + 4
    assert narrow[4].startswith("stage")


@pytest.mark.parametrize("width", range(20, 200, 7))
def test_no_width_breaks_a_screen(width: int) -> None:
    """Each line of sockets fits; a title that is too long is cut, and the state behind it stays where it fits."""
    page = Replay(recording(sender(), reader())).page(Query())
    rows = rows_of(page, width, 0, 0)

    groups = rows_of_groups([Together("x" * 90, 10**6, 10**12, 10**12, 10**9)] * 3, "program", width, 2)

    assert all(len(text) <= width for text in texts([*rows, *groups]))
    assert sum(column.width + 1 for column in columns_for(width)) <= width + 1
    assert panels.head(frame(title="x" * 500), width)[0][0].endswith("live")


@pytest.mark.parametrize("width", [20, 33, 47, 80, 120])
def test_no_width_cuts_a_number(width: int) -> None:
    """What has no room is left out as a whole, or goes on in the next line; names lose their middle."""
    moved = 1_234_567_890_123
    totals = Totals(sent={"zerocopy": Transfer(calls=1, bytes=moved)}, read={"copy": Transfer(calls=1, bytes=moved)})
    told = frame(title="x" * 50, totals=totals, living=12_345, outstanding=678_901)
    line = Line(1, moved, moved, moved, False)
    page = Page([(line, sender())], 34_567, line)
    rows = [
        *panels.head(told, width), *panels.figures(told, width), *panels.tables(told, width),
        *rows_of(page, width, 0, 0),
        *rows_of_groups([Together("y" * 50, 10**6, moved, moved, moved)], "port", width, 2),
    ]  # fmt: skip
    numbers = {word for text in texts(rows) for word in re.findall(r"[\d.…]*(?:,[\d.…]+)+", text)}
    whole = {"1,234,567,890,123", "12,345", "678,901", "34,566", "34,567", "1,000,000", "1,000"}

    assert all(len(text) <= width for text in texts(rows))
    assert numbers <= whole
    assert {"1,234,567,890,123", "12,345", "678,901", "34,566", "1,000,000"} <= numbers


def test_sockets_of_another_moment_are_labelled() -> None:
    """A recording has samples of all sockets together alone; each by itself is known in the end."""
    replay = Replay(recording(sender(), reader(), samples=[Sample(t=0.3, sent={"copy": 7})]))
    in_the_end = " ".join(texts(panels.head(replay.frame(), 120)))
    replay.step(-1)
    before = " ".join(texts(panels.head(replay.frame(), 120)))

    assert "of the end" not in in_the_end
    assert "sockets and notes below are of the end" in before


def test_the_rest_is_one_line() -> None:
    """With its sums."""
    page = Page([(Line(1, 10, 20, 5, False), sender())], 7, Line(0, 30, 40, 6, False))
    head, first, rest = texts(rows_of(page, 120, 0, 0))

    assert head.startswith("socket 1 to 1 of 7")
    assert "127.0.0.1:40000" in first
    assert rest.split() == ["6", "more", "6", "B/s", "30", "40"]


def test_what_others_wrote_is_shown_and_not_obeyed() -> None:
    """Escape sequences in a program's name, a title, a finding, a way."""
    evil = "\x1b[2Jevil\u202e"
    page = Page([(Line(1, 1, 1, 1, False), sender(comm=evil))], 1, Line(0, 0, 0, 0, False))
    told = frame(
        title=evil,
        findings=[Finding(code="x", sentence=evil, why=evil, fix=evil)],
        totals=Totals(sent={evil: Transfer(calls=1, bytes=1)}),
        samples=[Sample(t=0.0), Sample(t=1.0, sent={evil: 1})],
    )
    shown = [
        *texts(rows_of(page, 120, 0, 0)),
        *texts(panels.head(told, 120)),
        *texts(panels.tables(told, 120)),
        *texts(panels.findings(told.findings, 120)),
        *panels.findings_in_full(told.findings).split("\n"),
        one_line(told),
    ]

    assert all(line.isprintable() for line in shown), shown
