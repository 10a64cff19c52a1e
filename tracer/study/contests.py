"""Which mode is best by one quantity at one size, if the intervals allow to say so. Pure."""

from __future__ import annotations

import msgspec

from tracer.study.intervals import Interval, repetitions_for, side_of_one
from tracer.study.measurements import DEMAND, LATENCY, Family, Samples
from tracer.study.sweep_plan import Cell
from tracer.texts import counted

# From so many modes on, each has a row of its own, and a sentence names the next best alone.
MANY = 5
# What the words of sweeps and netperf mean, for a sentence.
_SPOKEN = {LATENCY.name: "time per message", DEMAND.name: "CPU time per KiB"}


class Contest(msgspec.Struct, frozen=True, kw_only=True):
    """Which mode is best by one quantity.

    Args:
        winner: None where no mode is better beyond noise.
        ratio: The best median over the next one's, paired by repetition.
        best: The mode with the best median, whether it wins or not; empty where there was nothing to compare.
        behind: Modes that are clearly behind it, the next one first: its figure over theirs.
        alike: The others.
    """

    quantity: str
    winner: str | None
    sentence: str
    ratio: Interval | None
    best: str = ""
    behind: dict[str, Interval | None] = {}
    alike: list[str] = []


def contest_of(
    samples: Samples, modes: list[str], size: int, threads: int, *, highest: bool, cells: int = 1
) -> Contest:
    """The best median against every other mode, one by one.

    Args:
        cells: Sizes and numbers of threads about which so much is said together.
    """
    name = samples.quantity.name
    medians = [(found.median, mode) for mode in modes if (found := samples.interval(mode, size, threads))]
    if len(medians) < 2:
        return Contest(quantity=name, winner=None, sentence=f"{spoken(name)}: nothing to compare", ratio=None)
    (_, best), *others = sorted(medians, reverse=highest)
    # Which one is best is chosen by the same figures: any two of the modes might have been compared.
    samples.family = Family(cells * len(medians) * (len(medians) - 1) // 2)
    ratios = {mode: samples.ratio(Cell(best, size, threads), Cell(mode, size, threads)) for _, mode in others}
    better = 1 if highest else -1
    second = ratios[others[0][1]]
    behind = {mode: ratio for mode, ratio in ratios.items() if side_of_one(ratio) == better}
    return Contest(
        quantity=name,
        winner=best if len(behind) == len(ratios) else None,
        sentence=_sentence(samples, best, ratios, better),
        ratio=second,
        best=best,
        behind=behind,
        alike=[mode for mode in ratios if mode not in behind],
    )


def spoken(quantity: str) -> str:
    """A quantity as a sentence calls it."""
    return _SPOKEN.get(quantity, quantity.replace("_", " "))


def _sentence(samples: Samples, best: str, ratios: dict[str, Interval | None], better: int) -> str:
    of = spoken(samples.quantity.name)
    name = f"{of} (less is better)" if better < 0 else of
    sides = {mode: side_of_one(ratio) for mode, ratio in ratios.items()}
    if None in sides.values():
        unknown = next(ratio for mode, ratio in ratios.items() if sides[mode] is None)
        return f"{name}: undecided, {_why_undecided(unknown, samples.family)}"
    ahead = [times(ratio, mode) for mode, ratio in ratios.items() if sides[mode] == better]
    alike = [mode for mode, side in sides.items() if side != better]
    if len(ratios) >= MANY:
        return f"{name}: {_short(best, alike, ahead)}"
    if not alike:
        return f"{name}: {best} wins; its {of} is {', '.join(ahead)}"
    tie = f"{name}: no difference beyond noise between {best} and {' and '.join(alike)}"
    return f"{tie}; {best}'s {of} is {', '.join(times(ratio, mode) for mode, ratio in ratios.items())}"


def _short(best: str, alike: list[str], ahead: list[str]) -> str:
    """Who is ahead, and by how much of the next that is behind; the table has the others."""
    behind = f"; {best}'s is {ahead[0]}" if ahead else ""
    if not alike:
        return f"{best} wins{behind}"
    return f"no difference beyond noise between {', '.join([best, *alike[:-1]])} and {alike[-1]}{behind}"


def times(ratio: Interval | None, mode: str) -> str:
    """One mode's figure over another's, with the interval: "2x twocopy's (1.9x to 2.1x)"."""
    if ratio is None or ratio.low is None or ratio.high is None:
        return f"n/a of {mode}'s"
    return f"{ratio.median:.3g}x {mode}'s ({ratio.low:.3g}x to {ratio.high:.3g}x)"


def _why_undecided(ratio: Interval | None, family: Family) -> str:
    if ratio is None:
        return "different sources"
    wanted = repetitions_for(family.comparisons)
    return f"too few to tell: {counted(ratio.repetitions, 'repetition')}; it takes --repetitions {wanted} at least"
