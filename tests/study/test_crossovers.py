"""A crossover is named only where the intervals allow it."""

from __future__ import annotations

import pytest

from tests.sweep_samples import runs
from tracer.study.crossovers import crossover_of
from tracer.study.measurements import THROUGHPUT, Samples


def crossing(**at_size: float):
    """Throughput of zerocopy over twocopy's by size; twocopy has 10 Gb/s."""
    ratios = {int(name[1:]): ratio for name, ratio in at_size.items()}
    return Samples(runs(lambda mode, size, _: 10 * (ratios[size] if mode == "zerocopy" else 1)), THROUGHPUT)


def found(**at_size: float):
    return crossover_of(crossing(**at_size), "zerocopy", "twocopy", 1)


def test_a_crossover_lies_between_the_last_clear_loss_and_the_first_clear_win():
    """Its interval is made of sizes that were measured; the estimate lies within."""
    one = found(s1024=0.5, s4096=0.8, s16384=1.25, s65536=2.0)

    assert (one.found, one.low, one.high) == (True, 4096, 16384)
    assert one.estimate == pytest.approx(8192, rel=0.05)


def test_sizes_without_a_clear_winner_widen_the_interval():
    """Between them no size is known to be on either side."""
    one = found(s1024=0.5, s4096=1.0, s16384=1.0, s65536=2.0)

    assert (one.found, one.low, one.high) == (True, 1024, 65536)


@pytest.mark.parametrize(
    ("ratios", "reason"),
    [
        ({"s1024": 1.0, "s4096": 1.0, "s16384": 1.0, "s65536": 1.0}, "the intervals overlap at every size"),
        ({"s1024": 0.5, "s4096": 0.5, "s16384": 0.5, "s65536": 0.5}, "twocopy is ahead at every size"),
        ({"s1024": 2.0, "s4096": 2.0, "s16384": 2.0, "s65536": 2.0}, "zerocopy is ahead at every size"),
        ({"s1024": 2.0, "s4096": 0.5, "s16384": 0.5, "s65536": 0.5}, "twocopy is ahead again at 4 KiB"),
        ({"s1024": 0.5, "s4096": 2.0, "s16384": 0.5, "s65536": 2.0}, "twocopy is ahead again at 16 KiB"),
        ({"s1024": 1.0, "s4096": 1.0, "s16384": 1.0, "s65536": 2.0}, "zerocopy is ahead at 64 KiB; elsewhere"),
    ],
)
def test_no_crossover_is_named_without_one(ratios, reason):
    """And the reason is given."""
    one = found(**ratios)

    assert not one.found
    assert one.estimate is None
    assert one.reason.startswith("none found")
    assert reason in one.reason


def test_paired_ratios_alone_do_not_name_a_crossover_where_intervals_overlap():
    """A drift of 3x within each mode: every pair says the same, and yet the two medians' intervals overlap."""
    drifting = (1.0, 1.5, 2.0, 2.5, 3.0)
    ratios = {1024: 0.8, 4096: 0.8, 16384: 1.25, 65536: 1.25}
    samples = Samples(
        [
            one
            for repetition, factor in enumerate(drifting)
            for one in runs(
                lambda mode, size, _, f=factor: 10 * f * (ratios[size] if mode == "zerocopy" else 1), noise=(1.0,)
            )
            if one.repetition == repetition
        ],
        THROUGHPUT,
    )

    assert not crossover_of(samples, "zerocopy", "twocopy", 1).found


def test_a_missing_mode_or_one_repetition_crosses_nowhere():
    """Nothing is invented."""
    few = Samples([one for one in runs() if one.repetition == 0], THROUGHPUT)

    assert "too few repetitions" in crossover_of(few, "zerocopy", "twocopy", 1).reason
    assert "a mode is missing" in crossover_of(few, "sendfile", "twocopy", 1).reason
