"""Bars and areas: what is drawn of CPU time, of sizes, and of bytes over time. Geometry and its words; no drawing."""

from __future__ import annotations

from typing import NamedTuple

from tracer.books.quantities import MIN_SAMPLES
from tracer.books.rates import Span, spans_of
from tracer.model import CpuProfile
from tracer.model.socket_recording import SocketRecording
from tracer.reports.stage_styles import stage_of_way
from tracer.units import format_size

# Of an area's picture, in its own unit.
WIDTH, HEIGHT = 720, 180


class Bar(NamedTuple):
    """One bar.

    Args:
        share: Its length, per cent of the longest one's.
        told: What it says.
    """

    name: str
    stage: str
    share: float
    told: str


class Bars(NamedTuple):
    """Bars below each other."""

    title: str
    bars: list[Bar]


class Area(NamedTuple):
    """One way in a picture over time: an SVG path."""

    name: str
    stage: str
    path: str


class Areas(NamedTuple):
    """Ways over time, one on top of the other.

    Args:
        most: What the top of the picture stands for.
        seconds: What its right end stands for.
    """

    title: str
    areas: list[Area]
    most: str
    seconds: str

    @property
    def label(self) -> str:
        """The picture in a sentence."""
        return f"{self.title}: {', '.join(area.name for area in self.areas)}; at most {self.most}, for {self.seconds}"


def cpu_bars(profile: CpuProfile, labels: dict[str, str]) -> Bars | None:
    """CPU time by stage; none where too few samples tell no share.

    Args:
        labels: Names of stages, where they are not the recording's own words.
    """
    if profile.samples < MIN_SAMPLES or not profile.stages:
        return None
    longest = max(cost.share for cost in profile.stages) or 1.0
    bars = [
        Bar(
            labels.get(cost.stage, cost.stage.replace("_", " ")), cost.stage, 100 * cost.share / longest,
            f"{cost.share:.1%}",
        )
        for cost in profile.stages
    ]  # fmt: skip
    return Bars(f"CPU time by stage, {profile.event}", bars)


def size_bars(recording: SocketRecording) -> list[Bars]:
    """How large the calls of each way were: a bar a class of sizes, from the smallest one seen to the largest."""
    found = []
    for way, histogram in recording.sizes.items():
        powers = [power for power, calls in enumerate(histogram) if calls]
        if not powers:
            continue
        most, stage = max(histogram), stage_of_way("send", way)
        bars = [
            Bar(_class_of(power), stage, 100 * histogram[power] / most, f"{histogram[power]:,}")
            for power in range(powers[0], powers[-1] + 1)
        ]
        found.append(Bars(f"send calls: {way.replace('_', ' ')}", bars))
    return found


def _class_of(power: int) -> str:
    return f"{format_size(1 << power)} to {format_size(2 << power)}"


def ways_over_time(recording: SocketRecording) -> list[Areas]:
    """Bytes a second of each way, sending and reading; nothing of fewer than two moments."""
    found = ((verb, spans_of(recording, verb)) for verb in ("send", "read"))
    return [_areas(verb, spans) for verb, spans in found if spans]


def _areas(verb: str, spans: list[Span]) -> Areas:
    most = max(sum(span.rates.values()) for span in spans)
    floor, areas = [0.0] * len(spans), []
    for way in spans[0].rates:
        tops = [below + span.rates[way] for below, span in zip(floor, spans, strict=True)]
        areas.append(Area(way.replace("_", " "), stage_of_way(verb, way), _path(spans, floor, tops, most)))
        floor = tops
    return Areas(f"{verb}: bytes a second by way", areas, f"{most:,.0f} B/s", f"{spans[-1].stop:.3g} s")


def _path(spans: list[Span], floor: list[float], tops: list[float], most: float) -> str:
    """Steps, because a rate holds for a whole span: out along the top, and back below."""
    out = [(x, top) for span, top in zip(spans, tops, strict=True) for x in (span.start, span.stop)]
    back = [(x, low) for span, low in zip(spans, floor, strict=True) for x in (span.start, span.stop)]
    end = spans[-1].stop
    points = [f"{WIDTH * x / end:.1f} {HEIGHT * (1 - y / most):.1f}" for x, y in (*out, *reversed(back))]
    return f"M{'L'.join(points)}Z"
