"""Medians with 95 % bootstrap intervals, and ratios paired by repetition. Pure."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence

import msgspec

# The interval of a median cannot be wider than from the least to the greatest value, and that range holds the true
# median with probability 1 - 2^(1-n): 94 % for five repetitions, 88 % for four. Below five nothing is decided.
MIN_REPETITIONS = 5
_CONFIDENCE, _RESAMPLES, _SEED = 0.95, 4999, 20_17

Series = Mapping[int, float]
"""Values of one quantity by repetition."""


class Interval(msgspec.Struct, frozen=True):
    """A median and where it could as well be.

    Args:
        low: 2.5 % bootstrap percentile of the median; None where there are fewer than MIN_REPETITIONS.
        repetitions: Values that it rests on.
    """

    median: float
    low: float | None
    high: float | None
    repetitions: int

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.median:.3g} (no interval: {self.repetitions} repetitions)"
        return f"{self.median:.3g} ({self.low:.3g} to {self.high:.3g})"

    def compact(self) -> str:
        """For a table's cell."""
        if self.low is None or self.high is None:
            return f"{self.median:.3g} (of {self.repetitions})"
        return f"{self.median:.3g} ({self.low:.3g}–{self.high:.3g})"


def interval_of(values: Sequence[float]) -> Interval | None:
    """The median of values with its 95 % interval; None of nothing. NaN and infinities are no values."""
    finite = tuple(float(value) for value in values if math.isfinite(value))
    return _bootstrapped(finite) if finite else None


def ratio_of(numerators: Series, denominators: Series) -> Interval | None:
    """The median ratio of values from the same repetition: a slow moment of the machine hits both.

    None where no repetition has both; a denominator of 0 is left out.
    """
    paired = numerators.keys() & denominators.keys()
    return interval_of([numerators[one] / denominators[one] for one in sorted(paired) if denominators[one]])


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


@functools.lru_cache(maxsize=8192)
def _bootstrapped(values: tuple[float, ...]) -> Interval:
    import numpy
    from scipy.stats import bootstrap

    median = float(numpy.median(values))
    if len(values) < MIN_REPETITIONS:
        return Interval(median, None, None, len(values))
    # "percentile": BCa needs a jackknife that a median of few values does not have. Seeded, so that the same data give
    # the same answer.
    found = bootstrap(
        (values,), numpy.median, confidence_level=_CONFIDENCE, n_resamples=_RESAMPLES, method="percentile",
        vectorized=True, rng=numpy.random.default_rng(_SEED),
    ).confidence_interval  # fmt: skip
    # Percentiles are interpolated, and rounding may carry them past the values.
    return Interval(median, max(min(values), float(found.low)), min(max(values), float(found.high)), len(values))
