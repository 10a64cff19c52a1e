"""Medians with their intervals, ratios paired by repetition, and shares. Pure.

The interval of a median is exact and asks nothing of the noise (Conover, Practical Nonparametric Statistics, 1999,
3.2): from the k-th least to the k-th greatest value, k by the binomial distribution. The bootstrap's percentiles are
none of that with few values: of eleven, what it calls 99.9 % is 98.8 %.
"""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Mapping, Sequence

import msgspec

from tracer.texts import counted

CONFIDENCE = 0.95
# The range of five values holds the median with probability 1 - 2^(1-5), 94 %; a single interval may call that 95 %.
MIN_REPETITIONS = 5

Series = Mapping[int, float]
"""Values of one quantity by repetition."""


class Interval(msgspec.Struct, frozen=True):
    """A median and where it could as well be.

    Args:
        low: Lower end; None where there are too few repetitions for the confidence that was asked for.
        repetitions: Values that it rests on.
    """

    median: float
    low: float | None
    high: float | None
    repetitions: int

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.median:.3g} (no interval: {counted(self.repetitions, 'repetition')})"
        return f"{self.median:.3g} ({self.low:.3g} to {self.high:.3g})"

    def compact(self) -> str:
        """For a table's cell."""
        if self.low is None or self.high is None:
            return f"{self.median:.3g} (of {self.repetitions})"
        return f"{self.median:.3g} ({self.low:.3g}–{self.high:.3g})"


def interval_of(values: Sequence[float], comparisons: int = 1) -> Interval | None:
    """The median of values with its interval; None of nothing. NaN and infinities are no values.

    Args:
        comparisons: Intervals that a decision rests on: all of them hold together with 95 % (Bonferroni), so that each
            is wider the more there are.
    """
    ordered = sorted(float(value) for value in values if math.isfinite(value))
    if not ordered:
        return None
    count, median = len(ordered), statistics.median(ordered)
    rank = _rank(count, comparisons)
    return Interval(median, ordered[rank], ordered[-1 - rank], count) if rank is not None else Interval(
        median, None, None, count
    )  # fmt: skip


def repetitions_for(comparisons: int) -> int:
    """How many repetitions it takes at least to tell so many differences from noise."""
    return next(count for count in range(MIN_REPETITIONS, 64) if _rank(count, comparisons) is not None)


def repetitions_for_all(cells: int) -> int:
    """How many are enough for whatever is asked of a sweep with so many combinations, so that advice does not grow.

    The rule that makes most comparisons, of claim S8, makes four along three or more numbers of threads.
    """
    return repetitions_for(max(1, -(-4 * cells // 3)))


@functools.cache
def _rank(count: int, comparisons: int) -> int | None:
    """How many values on each side lie outside of the interval; None if the whole range is not wide enough."""
    from scipy.stats import binom

    error = (1 - CONFIDENCE) / max(comparisons, 1)
    outside = [rank for rank in range(count // 2 + 1) if 2 * binom.cdf(rank, count, 0.5) <= error]
    if outside:
        return max(outside)
    return 0 if comparisons <= 1 and count == MIN_REPETITIONS else None


def ratio_of(numerators: Series, denominators: Series, comparisons: int = 1) -> Interval | None:
    """The median ratio of values from the same repetition: a slow moment of the machine hits both.

    None where no repetition has both; a denominator of 0 is left out.
    """
    paired = sorted(numerators.keys() & denominators.keys())
    return interval_of([numerators[one] / denominators[one] for one in paired if denominators[one]], comparisons)


def side_of_one(ratio: Interval | None) -> int | None:
    """1 where the whole interval is above 1, -1 where it is below, 0 where it holds 1, None where there is none."""
    if ratio is None or ratio.low is None or ratio.high is None:
        return None
    return 1 if ratio.low > 1 else -1 if ratio.high < 1 else 0


def overlap(one: Interval | None, other: Interval | None) -> bool:
    """Whether two intervals share a point; an unknown one could be anywhere."""
    if one is None or other is None or one.low is None or one.high is None or other.low is None or other.high is None:
        return True
    return one.low <= other.high and other.low <= one.high


def share_interval(part: int, whole: int) -> tuple[float, float]:
    """Where the true share could be, if so many of all samples were of one kind (Clopper and Pearson, 99.9 %)."""
    from scipy.stats import binomtest

    found = binomtest(part, whole).proportion_ci(0.999)
    return float(found.low), float(found.high)
