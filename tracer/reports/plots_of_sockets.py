"""The pictures of a recording of sockets, as SVG and PNG: bytes by way over time, and the sizes of send calls."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from tracer.books.rates import Span, spans_of
from tracer.model.socket_recording import SocketRecording
from tracer.reports.plots import draw_figures
from tracer.reports.sockets import title_of
from tracer.reports.stage_styles import look_of, stage_of_way
from tracer.texts import all_printable, shortened
from tracer.units import format_size

_TITLE_CHARACTERS = 90
_WHOLE = StrMethodFormatter("{x:,.0f}")


def draw_sockets(recording: SocketRecording, directory: Path) -> tuple[list[Path], list[str]]:
    """Every picture that the recording has figures for; the files, and a sentence for each that was left out.

    Raises:
        MachineError: the directory cannot be written.
    """
    return draw_figures(figures_of_sockets(recording), directory)


def figures_of_sockets(recording: SocketRecording) -> Iterator[tuple[str, Figure | None, str]]:
    """Each picture's name with the picture, or None and why there is nothing to draw; the caller closes them."""
    spans = {verb: found for verb in ("send", "read") if (found := spans_of(recording, verb))}
    yield "ways-over-time", _over_time(recording, spans) if spans else None, "it takes two samples, a second apart"
    counted = any(any(histogram) for histogram in recording.sizes.values())
    yield "sizes", _sizes(recording) if counted else None, "no send call was counted"


def _over_time(recording: SocketRecording, spans: dict[str, list[Span]]) -> Figure:
    size = (8.8, 2.4 * len(spans) + 1.0)
    figure, axes = plt.subplots(len(spans), 1, figsize=size, sharex=True, squeeze=False, layout="constrained")
    for axis, (verb, found) in zip(axes.flat, spans.items(), strict=True):
        _stack(axis, verb, found)
        axis.set_ylabel(f"{verb}: bytes a second")
    axes.flat[-1].set_xlabel("seconds")
    figure.suptitle(_title(recording), fontsize=9)
    return figure


def _stack(axis: Axes, verb: str, spans: list[Span]) -> None:
    """Steps: a rate holds for the time between two samples."""
    edges = [spans[0].start, *(span.stop for span in spans)]
    floor = [0.0] * len(spans)
    for way in spans[0].rates:
        tops = [low + span.rates[way] for low, span in zip(floor, spans, strict=True)]
        look = look_of(stage_of_way(verb, way))
        axis.stairs(
            tops, edges, baseline=floor, fill=True, facecolor=look.colour, hatch=look.hatch, edgecolor="black",
            linewidth=0.4, label=way.replace("_", " "),
        )  # fmt: skip
        floor = tops
    axis.set_ylim(bottom=0)
    axis.yaxis.set_major_formatter(_WHOLE)
    axis.legend(loc="upper right")


def _sizes(recording: SocketRecording) -> Figure:
    """One row of bars a way, in classes of powers of two."""
    found = {way: counts for way, counts in recording.sizes.items() if any(counts)}
    powers = [power for counts in found.values() for power, calls in enumerate(counts) if calls]
    shown = range(min(powers), max(powers) + 1)
    figure, axes = plt.subplots(
        len(found), 1, figsize=(8.8, 1.9 * len(found) + 1.1), sharex=True, squeeze=False, layout="constrained"
    )
    for axis, (way, counts) in zip(axes.flat, found.items(), strict=True):
        look = look_of(stage_of_way("send", way))
        calls = [counts[power] if power < len(counts) else 0 for power in shown]
        axis.bar(list(shown), calls, width=0.9, color=look.colour, hatch=look.hatch, edgecolor="black", linewidth=0.4)
        axis.yaxis.set_major_formatter(_WHOLE)
        axis.set_xlim(shown[0] - 1, shown[-1] + 1)
        axis.set_ylabel(f"calls: {way.replace('_', ' ')}")
    axes.flat[-1].set_xticks(list(shown), [format_size(1 << power) for power in shown], rotation=45)
    axes.flat[-1].set_xlabel("bytes that a call handed over: from this size up to the next one")
    figure.suptitle(_title(recording), fontsize=9)
    return figure


def _title(recording: SocketRecording) -> str:
    """What was recorded; matplotlib would read mathematics between dollars."""
    return shortened(str(all_printable(title_of(recording))), _TITLE_CHARACTERS).replace("$", r"\$")
