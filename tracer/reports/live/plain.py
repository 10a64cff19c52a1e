"""The live view where there is no terminal: one line a second, as plain text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tracer.books.live import Frame, Second, seconds_read, seconds_sent
from tracer.model.sockets import Transfer
from tracer.reports.live.words import named, speed
from tracer.texts import counted
from tracer.units import format_count, format_ratio, percent


def one_line(frame: Frame) -> str:
    """What has moved until then, by way, and how often it was copied in the last second."""
    parts = [
        _direction("sent", frame.totals.sent, frame.totals.sent_bytes, seconds_sent(frame.samples)),
        _direction("read", frame.totals.read, frame.totals.read_bytes, seconds_read(frame.samples)),
        frame.sockets,
    ]
    if frame.outstanding is not None:
        parts.append(f"{counted(frame.outstanding, 'completion')} outstanding")
    return f"{frame.at_s:6.1f} s  {'; '.join(parts)}"


def _direction(verb: str, transfers: Mapping[str, Transfer], whole: int, seconds: Sequence[Second]) -> str:
    if not whole:
        return f"{verb} 0 B"
    return f"{verb} {format_count(whole)} B ({_shares(transfers, whole)}), {_now(seconds)}"


def _shares(transfers: Mapping[str, Transfer], whole: int) -> str:
    """The ways that moved something, the one that moved most first."""
    used = sorted((way for way in transfers if transfers[way].bytes), key=lambda way: -transfers[way].bytes)
    return ", ".join(f"{named(way)} {percent(transfers[way].bytes, whole)}" for way in used)


def _now(seconds: Sequence[Second]) -> str:
    """The last second: how fast, and how many copies a byte; n/a where nothing moved."""
    if not seconds:
        return "n/a now"
    return f"{speed(seconds[-1].rate)} and {format_ratio(seconds[-1].copies)} copies per byte now"
