"""The pictures of a sweep, as SVG and PNG."""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import matplotlib as mpl

mpl.use("Agg")  # no display is there, or wanted

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from tracer.books.quantities import MIN_SAMPLES
from tracer.errors import MachineError
from tracer.model import Stage
from tracer.reports import captions
from tracer.reports.bars import Bar, copy_bars, cpu_bars
from tracer.reports.stage_styles import PALETTE, look_of
from tracer.study.intervals import Interval
from tracer.study.measurements import (
    CYCLES,
    DEMAND,
    LATENCY,
    MISSES,
    SWITCHES,
    THROUGHPUT,
    Quantity,
    Samples,
)
from tracer.study.sweep_plan import Sweep
from tracer.texts import counted
from tracer.units import format_size

MARKERS = "os^Dvp*X"
# Marks of several modes at one place are set apart by this much of an octave, so that error bars can be seen.
_APART = 0.07
# Of the x axis beside the outermost places, a factor.
_MARGIN = 1.5
# From this ratio of its ends on, a logarithmic axis has marks at powers of ten alone.
_DENSE = 1000.0
_DPI = 130
# Of the caption, 8 points high.
_LETTERS_PER_INCH = 14.5
# Width of a legend's handle with the space around it.
_HANDLE_LETTERS = 10
# Text stays text in an SVG, so that it can be searched and copied.
_STYLE = {
    "font.size": 9, "axes.grid": True, "grid.alpha": 0.3, "legend.frameon": False,
    "svg.hashsalt": "nettrace", "svg.fonttype": "none",
}  # fmt: skip


class Lines(NamedTuple):
    """A picture of lines, one a mode, in panels.

    Args:
        across: What the x axis shows; the panels show the other one.
        logarithmic: Of the y axis.
    """

    name: str
    quantity: Quantity
    across: Literal["size", "threads"]
    logarithmic: bool = False


PICTURES = (
    Lines("throughput-by-size", THROUGHPUT, "size"),
    Lines("latency-by-size", LATENCY, "size", logarithmic=True),
    Lines("latency-by-threads", LATENCY, "threads", logarithmic=True),
    Lines("cycles-by-size", CYCLES, "size", logarithmic=True),
    Lines("demand-by-size", DEMAND, "size", logarithmic=True),
    Lines("misses-by-size", MISSES, "size", logarithmic=True),
    Lines("switches-by-threads", SWITCHES, "threads", logarithmic=True),
)


def draw_all(sweep: Sweep, directory: Path) -> tuple[list[Path], list[str]]:
    """Every picture that the sweep has figures for; the files, and a sentence for each picture that was left out.

    Raises:
        MachineError: the directory cannot be written.
    """
    return draw_figures(figures_of(sweep), directory)


def draw_figures(figures: Iterator[tuple[str, Figure | None, str]], directory: Path) -> tuple[list[Path], list[str]]:
    """Pictures as files, in the style of all of them; what could not be drawn is told.

    Args:
        figures: Each picture's name with the picture, or None and why there is none.

    Raises:
        MachineError: the directory cannot be written.
    """
    files, skipped = [], []
    with mpl.rc_context(_STYLE):  # type: ignore[arg-type]
        for name, figure, why in figures:
            if figure is None:
                skipped.append(f"{name}: n/a, {why}")
                continue
            try:
                directory.mkdir(parents=True, exist_ok=True)
                files += _save(figure, directory / name)
            except OSError as error:
                why = error.strerror or str(error)
                raise MachineError(f"cannot write to {directory}", why, "choose another directory") from error
            finally:
                plt.close(figure)
    return files, skipped


def drawn(sweep: Sweep) -> list[tuple[str, bytes]]:
    """Every picture that the sweep has figures for, by name, as SVG."""
    found = []
    with mpl.rc_context(_STYLE):  # type: ignore[arg-type]
        for name, figure, _ in figures_of(sweep):
            if figure is not None:
                image = io.BytesIO()
                figure.savefig(image, format="svg", metadata={"Date": None})
                plt.close(figure)
                found.append((name, image.getvalue()))
    return found


def _save(figure: Figure, stem: Path) -> list[Path]:
    files = [stem.with_name(f"{stem.name}{suffix}") for suffix in (".svg", ".png")]
    # No date: the same data give the same file.
    figure.savefig(files[0], metadata={"Date": None})
    figure.savefig(files[1], dpi=_DPI)
    return files


def figures_of(sweep: Sweep) -> Iterator[tuple[str, Figure | None, str]]:
    """Each picture's name with the picture, or None and why there is nothing to draw; the caller closes them."""
    for picture in PICTURES:
        samples = Samples(sweep.runs, picture.quantity)
        if not samples.cells():
            yield picture.name, None, "no run counted it"
        elif not samples.comparable:
            yield picture.name, None, f"its values come from different sources: {samples.source}"
        else:
            yield picture.name, _draw_lines(sweep, samples, picture), ""
    copies = copy_bars(sweep)
    why = "no run was observed, or none can be trusted"
    yield (
        "copies-by-stage",
        _draw_bars(sweep, copies, "bytes moved per payload byte", Stage.PIN) if copies else None,
        why,
    )
    costs = cpu_bars(sweep)
    why = f"no run was sampled {MIN_SAMPLES} times"
    yield (
        "cpu-by-stage",
        _draw_bars(
            sweep,
            costs,
            "CPU time by stage, %; behind each name: CPU time per payload byte (profiled pass, sampled stacks)",
        )
        if costs
        else None,
        why,
    )


def _draw_lines(sweep: Sweep, samples: Samples, picture: Lines) -> Figure:
    panels = samples.values_of(2 if picture.across == "size" else 1)
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    figure, grid = plt.subplots(
        rows, columns, figsize=(4.2 * columns + 0.4, 2.9 * rows + 1.0), sharex=True, sharey=True, squeeze=False,
        layout="constrained",
    )  # fmt: skip
    axes = list(grid.flat)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    for index, (axis, panel) in enumerate(zip(axes, panels, strict=False)):
        _draw_panel(axis, samples, picture, panel, list(sweep.manifest.plan.labels()))
        # The last of its column: a shared axis is labelled in the last row of the grid, where there may be no panel.
        axis.tick_params(labelbottom=index + columns >= len(panels))
    # Only now: a limit set earlier would end the scaling of the axis that all panels share, and cut later bars off.
    if picture.logarithmic:
        _make_logarithmic(axes[0])
    else:
        axes[0].set_ylim(bottom=0)
    source = captions.source(samples.source)
    x_label = "size of a message" if picture.across == "size" else "threads"
    _finish(
        sweep,
        figure,
        axes[0],
        picture.quantity.label,
        f"{x_label}\n\n{picture.quantity.label}: {source}",
        captions.repetitions(sweep),
    )
    return figure


def _draw_panel(axis: Axes, samples: Samples, picture: Lines, panel: int, labels: list[str]) -> None:
    places = samples.values_of(1 if picture.across == "size" else 2)
    for index, label in enumerate(labels):
        cells = [(label, place, panel) if picture.across == "size" else (label, panel, place) for place in places]
        found = [(place, one) for place, cell in zip(places, cells, strict=True) if (one := samples.interval(*cell))]
        apart = 2 ** (_APART * (index - (len(labels) - 1) / 2))
        colour, sure = PALETTE[index % len(PALETTE)], any(one.low is not None for _, one in found)
        axis.plot(
            [x * apart for x, _ in found], [one.median for _, one in found], label=label, color=colour,
            marker=MARKERS[index % len(MARKERS)], markersize=4.5, linewidth=1.3, linestyle="-" if sure else "",
        )  # fmt: skip
        _draw_intervals(axis, [(x * apart, one) for x, one in found], colour)
    axis.set_xscale("log", base=2)
    axis.set_xticks(places, [format_size(place) if picture.across == "size" else f"{place}" for place in places])
    axis.set_xlim(min(places) / _MARGIN, max(places) * _MARGIN)
    axis.minorticks_off()
    axis.set_title(_panel_title(picture, panel), fontsize=9)


def _make_logarithmic(axis: Axes) -> None:
    """At least two octaves high, so that noise does not fill it; few marks where it is many decades high."""
    axis.set_yscale("log")
    low, high = axis.get_ylim()
    middle = math.sqrt(low * high)
    low, high = min(low, middle / 2), max(high, middle * 2)
    axis.set_ylim(low, high)
    many = high / low > _DENSE
    axis.yaxis.set_major_locator(LogLocator(subs=(1.0,) if many else (1.0, 2.0, 5.0)))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 10 else f"{value:g}"))
    axis.yaxis.set_minor_formatter(NullFormatter())


def _draw_intervals(axis: Axes, found: list[tuple[float, Interval]], colour: str) -> None:
    """Bars where there are intervals; too few repetitions have none, and a bar of no length would look sure."""
    known = [(x, one.median, one.low, one.high) for x, one in found if one.low is not None and one.high is not None]
    if known:
        below = [median - low for _, median, low, _ in known]
        above = [high - median for _, median, _, high in known]
        axis.errorbar(
            [x for x, *_ in known], [median for _, median, _, _ in known], yerr=[below, above], fmt="none",
            ecolor=colour, capsize=2.5, elinewidth=1,
        )  # fmt: skip


def _panel_title(picture: Lines, panel: int) -> str:
    if picture.across == "threads":
        return f"{format_size(panel)} a message"
    return counted(panel, "thread")


def _draw_bars(sweep: Sweep, bars: list[Bar], label: str, uncopied: str | None = None) -> Figure:
    """Stacked, one bar a row, the smallest size on top.

    Args:
        uncopied: The part that is no copy, left white; the parts are then in the order of the payload's way.
    """
    figure, axis = plt.subplots(figsize=(8.8, 0.32 * len(bars) + 1.9), layout="constrained")
    names = sorted({name for bar in bars for name in bar.parts}, key=lambda name: -_total(bars, name))
    ordered = [stage for stage in Stage if stage in names] if uncopied else names
    positions = range(len(bars) - 1, -1, -1)
    ends = [0.0] * len(bars)
    for name in ordered:
        widths = [bar.parts.get(name, 0.0) for bar in bars]
        not_copied = name == uncopied
        axis.barh(
            positions, widths, left=ends, height=0.7, edgecolor="black", linewidth=0.4,
            color=look_of(name).colour, hatch=look_of(name).hatch,
            label=name.replace("_", " ") + (" (not a copy)" if not_copied else ""),
        )  # fmt: skip
        ends = [end + width for end, width in zip(ends, widths, strict=True)]
    axis.set_yticks(list(positions), [bar.title for bar in bars])
    axis.grid(axis="y", visible=False)
    _finish(sweep, figure, axis, "", f"{label}\n", "one run a bar")
    return figure


def _total(bars: list[Bar], name: str) -> float:
    return sum(bar.parts.get(name, 0.0) for bar in bars)


def _finish(sweep: Sweep, figure: Figure, axis: Axes, y_label: str, x_label: str, values: str) -> None:
    """Axis labels, one legend for all panels above them, and below them where and how often all this was measured."""
    letters = round(figure.get_figwidth() * _LETTERS_PER_INCH)
    parts = f"{x_label}\n{captions.place(sweep)}; {values}".split("\n")
    figure.supxlabel("\n".join(textwrap.fill(part, letters) for part in parts), fontsize=8)
    if y_label:
        figure.supylabel(y_label, fontsize=9)
    handles, labels = axis.get_legend_handles_labels()
    widest = max(map(len, labels), default=0) + _HANDLE_LETTERS
    figure.legend(handles, labels, loc="outside upper center", ncols=max(1, min(len(labels), letters // widest)))
