"""What stands above the sockets: who and when, how fast and how often copied, by way and by stage, findings."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import zip_longest
from typing import NamedTuple

from tracer.books.copies import copies_of_read
from tracer.books.live import Frame, Second, State, seconds_read, seconds_sent
from tracer.books.socket_ledger import ledger_of
from tracer.model.socket_recording import Finding
from tracer.reports.live.lines import BOLD, DIM, Row
from tracer.reports.live.words import columns, columns_within, course, named, speed
from tracer.reports.tables import hanging
from tracer.texts import printable
from tracer.units import format_count, format_ratio, percent

_STATES = {
    State.RUNNING: "live",
    State.ENDED: "has ended, and all is counted; q leaves",
    State.RECORDED: "a recording; left and right go through its seconds",
}
# A line that has a course, and what is written before it.
_LABEL, _LEAST_COURSE = 38, 8
_GAP = "   "
# Columns of a terminal that has no room for sentences.
_NARROW = 60
# Findings that are shown; n shows all of them.
_MOST_FINDINGS = 3


def head(frame: Frame, width: int, besides: str = "") -> list[Row]:
    """Who, and when.

    Args:
        besides: What the view itself has to say.
    """
    state = _STATES[frame.state] if width >= _NARROW else str(frame.state)
    state = f"{state}; {besides}" if besides else state
    title = printable(frame.title)
    room = max(9, width - len(state) - 2)
    who = title if len(title) <= room else title[: room - 3] + "..."
    when = f"{frame.at_s:.0f} s; {frame.sockets}; completions outstanding {format_count(frame.outstanding)}"
    told = when if frame.is_of_one_moment else f"{when}; sockets and notes below are of the end"
    return [(f"{who}  {state}", BOLD), *((line, DIM) for line in _lines(told, width))]


def _lines(text: str, width: int) -> list[str]:
    """A text in lines, because what is cut off may be the number."""
    lines = hanging(text, "  ", width).split("\n")
    if all(len(line) <= width for line in lines):
        return lines
    return textwrap.wrap(text, width, subsequent_indent="  ")


def figures(frame: Frame, width: int) -> list[Row]:
    """Sent and read: bytes a second, and copies per byte of what moved in each second."""
    totals = frame.totals
    sent, read = seconds_sent(frame.samples), seconds_read(frame.samples)
    return [
        *_direction("sent", totals.sent_bytes, frame.send_copies, sent, width),
        *_direction("read", totals.read_bytes, copies_of_read(totals), read, width),
    ]


def _direction(verb: str, whole: int, in_all: float | None, seconds: Sequence[Second], width: int) -> list[Row]:
    now = speed(seconds[-1].rate) if seconds else "n/a"
    copies = format_ratio(seconds[-1].copies) if seconds else "n/a"
    fast = _Figure(f"{verb} {whole:,} B, {now}", [second.rate for second in seconds])
    often = _Figure(f"copies per byte {copies}, {format_ratio(in_all)} in all", [second.copies for second in seconds])
    if width < 2 * (_LABEL + _LEAST_COURSE):
        return [(line, None) for one in (fast, often) for line in _lines(_with_course(one, width), width)]
    half = (width - len(_GAP)) // 2
    return [(_GAP.join(_with_course(one, half) for one in (fast, often)), None)]


class _Figure(NamedTuple):
    """What it is now, and was in each second."""

    text: str
    values: Sequence[float | None]


def _with_course(figure: _Figure, width: int) -> str:
    """Without one where there is no room."""
    room = width - _LABEL
    return figure.text if room < _LEAST_COURSE else f"{figure.text.ljust(_LABEL)}{course(figure.values, room)}"


def tables(frame: Frame, width: int) -> list[Row]:
    """By way and by stage: side by side where there is room, else one below the other."""
    ways, stages = _ways(frame), _stages(frame)
    left, right = columns(ways, right=(1, 2, 3)), columns(stages, right=(1,))
    across = max(map(len, left)) + len(_GAP)
    if across + max(map(len, right)) > width:
        left, right = columns_within(ways, width, right=(1, 2, 3)), columns_within(stages, width, right=(1,))
        return [*_headed(left), *_headed(right)]
    return _headed([f"{one.ljust(across)}{other}".rstrip() for one, other in zip_longest(left, right, fillvalue="")])


def _headed(lines: Sequence[str]) -> list[Row]:
    return [(line, DIM if at == 0 else None) for at, line in enumerate(lines)]


def _ways(frame: Frame) -> list[tuple[str, ...]]:
    """Bytes by way, with their share and what they are now."""
    rows: list[tuple[str, ...]] = [("way", "bytes", "share", "now")]
    now, totals = _now_by_way(frame), frame.totals
    for verb, transfers, whole in (("send", totals.sent, totals.sent_bytes), ("read", totals.read, totals.read_bytes)):
        for way, transfer in sorted(transfers.items(), key=lambda item: -item[1].bytes):
            share = percent(transfer.bytes, whole) if way != "peek" else "n/a"
            rate = now.get(f"{verb} {way}")
            told = "n/a" if rate is None else speed(rate)
            rows.append((f"{verb}: {named(way)}", format_count(transfer.bytes), share, told))
    return rows


def _now_by_way(frame: Frame) -> dict[str, float]:
    if len(frame.samples) < 2 or (seconds := frame.samples[-1].t - frame.samples[-2].t) <= 0:
        return {}
    before, after = frame.samples[-2:]
    pairs = (("send", before.sent, after.sent), ("read", before.read, after.read))
    moved = {f"{verb} {way}": new[way] - old.get(way, 0) for verb, old, new in pairs for way in new}
    return {way: max(0, number) / seconds for way, number in moved.items()}


def _stages(frame: Frame) -> list[tuple[str, ...]]:
    """Bytes by what was done to them."""
    entries = [entry for entry in ledger_of(frame.totals, frame.calls, frame.later) if entry.bytes != 0]
    return [
        ("stage", "bytes", ""),
        *(
            (entry.stage.replace("_", " "), format_count(entry.bytes), printable(entry.note or entry.where))
            for entry in entries
        ),
    ]


def findings(found: Sequence[Finding], width: int) -> list[Row]:
    """What an expert would say, a sentence each; the first ones."""
    told = [f"note: {printable(one.sentence)}" for one in found[:_MOST_FINDINGS]]
    if len(found) > _MOST_FINDINGS:
        told.append(f"{len(found) - _MOST_FINDINGS} more: n")
    return [(line, BOLD) for text in told for line in _lines(text, width)]


def findings_in_full(found: Sequence[Finding]) -> str:
    """All of them with their reasons, and what to do."""
    parts = (_in_full(one) for one in found)
    return "\n\n".join(parts) or "nothing yet that one should know"


def _in_full(finding: Finding) -> str:
    told = (("  why: ", finding.why), ("  fix: ", finding.fix))
    return "\n".join([printable(finding.sentence), *(f"{name}{printable(text)}" for name, text in told if text)])
