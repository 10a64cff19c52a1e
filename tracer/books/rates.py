"""How fast bytes went, by way: samples of a recording are totals, and between two of them lies a rate. Pure."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from tracer.model.socket_recording import Sample, SocketRecording

# What is peeked at is read once more later.
_NOT_MOVED = ("peek",)


class Span(NamedTuple):
    """The time between two samples.

    Args:
        start, stop: Seconds since the watching began.
        rates: Bytes a second by way; every way of the recording is in it.
    """

    start: float
    stop: float
    rates: dict[str, float]


def spans_of(recording: SocketRecording, verb: str) -> list[Span]:
    """The rates of sending or reading; empty of fewer than two samples, and where nothing moved.

    Args:
        verb: "send" or "read".
    """
    if len(recording.samples) < 2:
        return []
    totals = [(one.t, one.sent if verb == "send" else one.read) for one in (Sample(t=0.0), *recording.samples)]
    ways = dict.fromkeys(way for _, moved in totals for way in moved if way not in _NOT_MOVED)
    spans = [
        Span(start, stop, {way: max(0, after.get(way, 0) - before.get(way, 0)) / (stop - start) for way in ways})
        for (start, before), (stop, after) in pairwise(totals)
        if stop > start
    ]
    return spans if any(sum(span.rates.values()) for span in spans) else []
