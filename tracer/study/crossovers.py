"""From which message size on one mode beats another, if the intervals allow to say so. Pure."""

from __future__ import annotations

import itertools
import math
from typing import Any

import msgspec

from tracer.study.intervals import overlap, side_of_one
from tracer.study.measurements import THROUGHPUT, Family, Samples
from tracer.study.sweep_plan import Cell, Sweep
from tracer.units import format_size

REFERENCE = "twocopy"


class Crossover(msgspec.Struct, frozen=True, kw_only=True):
    """From which message size on one mode beats another, at one number of threads.

    Args:
        found: False where none may be named; the reason then says why.
        low: Greatest size at which the reference clearly wins, bytes: the interval's lower end.
        high: Least size at which the challenger clearly wins, bytes: its upper end.
        ahead, behind: Sizes at which the challenger clearly wins, and clearly loses, bytes.
        estimate: Where the medians' ratio, interpolated over the logarithms, passes 1, bytes.
    """

    challenger: str
    reference: str
    threads: int
    found: bool
    low: int | None = None
    high: int | None = None
    ahead: list[int] = []
    behind: list[int] = []
    estimate: float | None = None
    reason: str


def crossovers(sweep: Sweep) -> list[Crossover]:
    """Each other mode over two-copy, at each number of threads; none in an A/A check, none of an emulated CPU."""
    if sweep.manifest.host.emulated:
        return []
    throughput = Samples(sweep.runs, THROUGHPUT)
    labels = throughput.values_of(0)
    if REFERENCE not in labels:
        return []
    challengers = [mode for mode in sweep.manifest.plan.modes if mode != REFERENCE and mode in labels]
    threads = throughput.values_of(2)
    throughput.family = Family(len(challengers) * len(threads) * len(throughput.values_of(1)))
    return [crossover_of(throughput, mode, REFERENCE, number) for mode in challengers for number in threads]


def crossover_of(throughput: Samples, challenger: str, reference: str, threads: int) -> Crossover:
    """Where the challenger overtakes, if the intervals allow to say so.

    A side wins clearly at a size if the ratio paired by repetition excludes 1 and the intervals of the two medians do
    not overlap either. A crossover needs a size where the reference wins clearly, followed by one where the challenger
    does, and no change of sides after that.
    """
    sizes = throughput.values_of(1)
    winners = {size: _clear_winner(throughput, challenger, reference, size, threads) for size in sizes}
    clear = [(size, winner) for size, winner in winners.items() if winner]
    ahead, behind = ([size for size, winner in clear if winner == side] for side in (1, -1))
    compared = sum(winner is not None for winner in winners.values())
    changes = [(a, b) for a, b in itertools.pairwise(clear) if a[1] != b[1]]
    if len(changes) != 1 or changes[0][0][1] == 1:
        why = _why_none(challenger, reference, clear, changes, compared)
        return Crossover(
            challenger=challenger, reference=reference, threads=threads, found=False, ahead=ahead, behind=behind,
            reason=why,
        )  # fmt: skip
    low, high = changes[0][0][0], changes[0][1][0]
    between = [size for size in sizes if low <= size <= high]
    return Crossover(
        challenger=challenger,
        reference=reference,
        threads=threads,
        found=True,
        low=low,
        high=high,
        ahead=ahead,
        behind=behind,
        estimate=_interpolated(throughput, challenger, reference, threads, between),
        reason=f"between {format_size(low)} and {format_size(high)}",
    )


def _clear_winner(samples: Samples, challenger: str, reference: str, size: int, threads: int) -> int | None:
    cells = (challenger, size, threads), (reference, size, threads)
    side = side_of_one(samples.ratio(Cell(*cells[0]), Cell(*cells[1])))
    if side is None:
        return None
    return 0 if overlap(samples.interval(*cells[0]), samples.interval(*cells[1])) else side


def _why_none(challenger: str, reference: str, clear: list[tuple[int, int]], changes: list[Any], compared: int) -> str:
    if not compared:
        return "none found: too few repetitions, or a mode is missing"
    if not clear:
        return "none found: the intervals overlap at every size"
    if changes:
        again = next(format_size(after[0]) for _, after in changes if after[1] == -1)
        return f"none found: {reference} is ahead again at {again}"
    winner = challenger if clear[0][1] == 1 else reference
    if len(clear) == compared:
        return f"none found: {winner} is ahead at every size"
    ahead = ", ".join(format_size(size) for size, _ in clear)
    return f"none found: {winner} is ahead at {ahead}; elsewhere the intervals overlap"


def _interpolated(samples: Samples, challenger: str, reference: str, threads: int, sizes: list[int]) -> float | None:
    """The first place where the straight line through log2(size), log(ratio) passes 0."""
    points = []
    for size in sizes:
        ratio = samples.ratio(Cell(challenger, size, threads), Cell(reference, size, threads))
        if ratio is not None:
            points.append((math.log2(size), math.log(ratio.median)))
    for (left, below), (right, above) in itertools.pairwise(points):
        if below < 0 <= above:
            return float(2 ** (left + (right - left) * -below / (above - below)))
    return None
