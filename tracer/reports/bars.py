"""What the stacked bars of a sweep are made of; no drawing."""

from __future__ import annotations

from typing import NamedTuple

from tracer.study.measurements import profile_of, stage_copies
from tracer.study.sweep_plan import Run, Sweep
from tracer.units import format_size

# Of a bar, per cent: what is less in every bar is drawn as one.
SLIVER = 4.0


class Bar(NamedTuple):
    """One stacked bar: what it stands for, and its parts in order."""

    title: str
    parts: dict[str, float]


def copy_bars(sweep: Sweep) -> list[Bar]:
    """Bytes moved by payload byte, by stage."""
    observed = [run for run in sweep.runs if stage_copies(run.recording)]
    return [
        Bar(_bar_title(run), {str(stage): share for stage, share in stage_copies(run.recording).items() if share > 0})
        for run in _one_per_mode_and_size(sweep, observed)
    ]


def cpu_bars(sweep: Sweep) -> list[Bar]:
    """Shares, because costs of small and of large messages are 30 to 1; the bar's name has the sum.

    Runs that were sampled too seldom are left out.
    """
    bars = []
    for run in _one_per_mode_and_size(sweep, [run for run in sweep.runs if profile_of(run.recording)]):
        profile = profile_of(run.recording)
        costs = {cost.stage: cost.ns_per_byte for cost in profile.stages if cost.ns_per_byte} if profile else {}
        total = sum(costs.values())
        if total:
            title = f"{_bar_title(run)}: {total:.3g} ns/B"
            bars.append(Bar(title, {name: 100 * cost / total for name, cost in costs.items()}))
    return _without_slivers(bars)


def _without_slivers(bars: list[Bar]) -> list[Bar]:
    """Parts that are small in every bar go into one, so that the legend can be read."""
    small = {name for bar in bars for name in bar.parts if all(one.parts.get(name, 0.0) < SLIVER for one in bars)}
    if len(small) < 2:
        return bars
    other = f"{len(small)} others, each under {SLIVER:g} %"
    whole = []
    for bar in bars:
        kept = {name: part for name, part in bar.parts.items() if name not in small}
        whole.append(Bar(bar.title, {**kept, other: 100 - sum(kept.values())}))
    return whole


def _bar_title(run: Run) -> str:
    return f"{run.label}, {format_size(run.cell.size)}"


def _one_per_mode_and_size(sweep: Sweep, runs: list[Run]) -> list[Run]:
    """Those at the fewest threads, by size and then in the order of the plan."""
    labels = list(sweep.manifest.plan.labels())
    found: dict[tuple[int, int], Run] = {}
    for run in sorted(runs, key=lambda run: (run.cell.threads, run.repetition)):
        found.setdefault((run.cell.size, labels.index(run.label)), run)
    return [found[key] for key in sorted(found)]
