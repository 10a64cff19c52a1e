"""Medians, their intervals, and ratios paired by repetition."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracer.study.intervals import (
    Interval,
    interval_of,
    overlap,
    ratio_of,
    repetitions_for,
    repetitions_for_all,
    share_interval,
    side_of_one,
)


def test_an_interval_holds_its_median_and_stays_within_the_values():
    """It ends at values that were measured."""
    found = interval_of([5.0, 1.0, 3.0, 2.0, 4.0])

    assert found is not None
    assert (found.low, found.median, found.high) == (1.0, 3.0, 5.0)


@pytest.mark.parametrize("values", [[1.0], [1.0, 2.0], [1.0, 2.0, 3.0, 4.0]])
def test_fewer_than_five_values_have_a_median_and_no_interval(values):
    """Their range holds the true median too seldom to call it 95 %."""
    found = interval_of(values)

    assert found is not None
    assert found.low is None
    assert found.high is None


@pytest.mark.parametrize(
    ("values", "comparisons", "interval"),
    [
        (range(1, 12), 1, (2, 10)),
        (range(1, 12), 6, (1, 11)),
        (range(1, 12), 48, (1, 11)),
        (range(1, 12), 96, (None, None)),
        (range(1, 16), 48, (2, 14)),
        (range(1, 6), 1, (1, 5)),
        (range(1, 6), 2, (None, None)),
        (range(1, 7), 2, (None, None)),
        (range(1, 8), 2, (1, 7)),
    ],
)
def test_an_interval_is_the_wider_the_more_comparisons_there_are(values, comparisons, interval):
    """From the k-th least value to the k-th greatest, as the tables of the sign test have it."""
    found = interval_of(list(values), comparisons)

    assert found is not None
    assert (found.low, found.high) == interval


@pytest.mark.parametrize(("comparisons", "repetitions"), [(1, 5), (2, 7), (3, 7), (8, 9), (16, 10), (48, 11), (96, 12)])
def test_more_comparisons_take_more_repetitions(comparisons, repetitions):
    """The range of n values misses the median with probability 2^(1-n): 5 % have to do for all comparisons."""
    assert repetitions_for(comparisons) == repetitions
    assert comparisons == 1 or 2 ** (1 - repetitions) <= 0.05 / comparisons < 2 ** (2 - repetitions)


@pytest.mark.parametrize(("cells", "repetitions"), [(0, 5), (4, 8), (36, 11), (48, 12)])
def test_advice_that_is_followed_is_enough(cells, repetitions):
    """For all that is asked of a sweep of so many combinations: nobody is told seven, and then eleven."""
    assert repetitions_for_all(cells) == repetitions
    assert repetitions_for_all(cells) >= repetitions_for(cells)


def test_intervals_hold_together_as_often_as_they_say():
    """Of 400 families of 16 equal comparisons in heavy-tailed noise, at most 1 in 20 sees a difference that is none."""
    noise = random.Random(7)
    wrong = 0
    for _ in range(400):
        family = [[1 + noise.paretovariate(1.5) - noise.paretovariate(1.5) for _ in range(13)] for _ in range(16)]
        wrong += any(side_of_one(interval_of(values, 16)) for values in family)

    assert wrong <= 20


@pytest.mark.parametrize(
    ("part", "whole", "decided"),
    [(6, 14, False), (9, 100, True), (45, 100, False), (300, 1000, True), (900, 1000, True)],
)
def test_a_share_is_as_sure_as_its_samples_are_many(part, whole, decided):
    """Whether it is over a half: of fourteen samples nothing can be told."""
    low, high = share_interval(part, whole)

    assert low <= part / whole <= high
    assert (low > 0.5 or high < 0.5) is decided


def test_nothing_has_no_interval():
    """Absent is not zero."""
    assert interval_of([]) is None


def test_nan_and_infinity_are_no_values():
    """A damaged figure neither counts nor spreads."""
    assert interval_of([math.nan, math.inf]) is None
    assert interval_of([1.0, math.nan, 1.0, 1.0, 1.0, 1.0]) == Interval(1.0, 1.0, 1.0, 5)


def test_ratios_are_paired_by_repetition():
    """A machine that slows to a third in each repetition does not blur the ratio."""
    fast = {number: 100.0 / 3**number for number in range(5)}
    slow = {number: value / 2 for number, value in fast.items()}

    assert ratio_of(fast, slow) == Interval(2.0, 2.0, 2.0, 5)


def test_a_repetition_that_one_side_lacks_is_left_out():
    """A pair needs two."""
    assert ratio_of({0: 1.0, 1: 4.0}, {1: 2.0, 2: 9.0}) == Interval(2.0, None, None, 1)


def test_a_denominator_of_zero_gives_no_ratio():
    """Not an infinity, and no traceback."""
    assert ratio_of({0: 1.0}, {0: 0.0}) is None


@pytest.mark.parametrize(
    ("ratio", "side"),
    [
        (Interval(1.2, 1.1, 1.3, 5), 1),
        (Interval(0.8, 0.7, 0.9, 5), -1),
        (Interval(1.2, 0.9, 1.3, 5), 0),
        (Interval(1.2, None, None, 2), None),
        (None, None),
    ],
)
def test_a_side_is_named_only_where_the_whole_interval_is_on_it(ratio, side):
    """An interval that holds 1 shows no difference; none at all shows nothing."""
    assert side_of_one(ratio) == side


def test_an_unknown_interval_overlaps_with_every_other():
    """What could be anywhere is not apart."""
    assert overlap(None, Interval(1.0, 1.0, 1.0, 5))
    assert overlap(Interval(1.0, None, None, 1), Interval(9.0, 9.0, 9.0, 5))
    assert not overlap(Interval(1.0, 0.9, 1.1, 5), Interval(2.0, 1.9, 2.1, 5))


@given(st.lists(st.floats(1e-3, 1e9), min_size=5, max_size=9))
def test_the_same_values_always_give_the_same_interval_around_their_median(values):
    """Seeded, ordered, inside."""
    found = interval_of(values)

    assert found is not None
    assert found.low is not None
    assert found.high is not None
    assert min(values) <= found.low <= found.median <= found.high <= max(values)
    assert interval_of(list(values)) == found
