"""Claims on times and trends (S6 to S11): evidence in which each is true, false, conditional, and undecidable."""

from __future__ import annotations

import msgspec
import pytest

from tests.rulings import CONFIRMED, DEPENDS, REFUTED, UNDECIDED, outcome, ruling
from tests.sweep_samples import by_mode, constant, falling, growing, only, plan, rising, runs, shrinking
from tracer.model import Link, Recording
from tracer.study.sweep_plan import Run


def test_s6_is_decided_by_the_trend_of_throughput():
    """Rising in all, in none, in one mode only, hidden by noise."""
    noisy = runs(constant, noise=(1.0, 3.0, 0.3, 2.0, 0.5))

    assert outcome("S6", of=runs(rising)) is CONFIRMED
    assert outcome("S6", of=runs(falling)) is REFUTED
    found = ruling("S6", of=runs(only("zerocopy", falling, rising)))
    assert (found.outcome, found.depends_on) == (DEPENDS, ["mode"])
    assert outcome("S6", of=noisy) is UNDECIDED


def test_s6_falls_where_one_step_is_clearly_down():
    """Even if the largest size is faster than the smallest."""
    dip = {1024: 2.0, 4096: 9.0, 16384: 5.0, 65536: 12.0}

    assert outcome("S6", of=runs(lambda _mode, size, _threads: dip[size])) is REFUTED


def test_s7_is_decided_by_the_order_of_the_peaks():
    """The claimed order, another, noise, a missing mode."""
    two_modes = plan(modes=["twocopy", "onecopy"])

    assert outcome("S7", of=runs(by_mode(zerocopy=3.0, onecopy=2.0))) is CONFIRMED
    assert outcome("S7", of=runs(by_mode(zerocopy=0.5, onecopy=2.0))) is REFUTED
    assert outcome("S7", of=runs(by_mode())) is UNDECIDED
    assert "all three modes" in ruling("S7", of=runs(of=two_modes)).missing


def test_s7_compares_the_peaks_of_each_repetition():
    """Wherever they are: a mode whose best number of threads changes with every repetition still has its peak."""
    wandering = [
        msgspec.structs.replace(one, recording=fastest_at(one, [1, 2, 4][one.repetition % 3]))
        for one in runs(by_mode())
    ]

    assert outcome("S7", of=wandering) is REFUTED


def fastest_at(one: Run, threads: int) -> Recording:
    """zerocopy is as fast as the others at one number of threads, but for a fifth, and ten times slower elsewhere."""
    bare = one.recording.workload
    assert bare is not None
    factor = 1.0 if one.label != "zerocopy" else 0.8 if one.cell.threads == threads else 0.1
    slower = msgspec.structs.replace(bare, throughput_bytes_per_s=bare.throughput_bytes_per_s * factor)
    return msgspec.structs.replace(one.recording, workload=slower)


def test_s7_can_depend_on_the_link():
    """Links are never mixed in one comparison."""
    slow = runs(by_mode(zerocopy=0.5, onecopy=2.0))
    fast = runs(by_mode(zerocopy=3.0, onecopy=2.0), link=Link.VETH)
    found = ruling("S7", of=slow + fast)

    assert (found.outcome, found.depends_on) == (DEPENDS, ["link"])


def hump(_mode: str, _size: int, threads: int) -> float:
    return {1: 10.0, 2: 20.0, 4: 12.0}[threads]


@pytest.mark.parametrize(
    ("throughput", "counters", "expected"),
    [
        (hump, {"context-switches": growing, "LLC-load-misses": growing}, CONFIRMED),
        (hump, {"context-switches": shrinking, "LLC-load-misses": growing}, REFUTED),
        (growing, {"context-switches": growing, "LLC-load-misses": growing}, REFUTED),
        (shrinking, {}, REFUTED),
        (hump, {}, UNDECIDED),
        (hump, {"context-switches": growing}, UNDECIDED),
        (constant, {"context-switches": growing, "LLC-load-misses": growing}, UNDECIDED),
    ],
)
def test_s8_needs_the_shape_and_its_cause(throughput, counters, expected):
    """Rise and fall, and more switches and misses a byte where it falls."""
    assert outcome("S8", of=runs(throughput, counters=counters)) is expected


def test_s9_is_decided_by_the_trend_of_the_median_latency():
    """Rising, falling, in one mode only, noise."""
    assert outcome("S9", of=runs(latency=rising)) is CONFIRMED
    assert outcome("S9", of=runs(latency=falling)) is REFUTED
    assert outcome("S9", of=runs(latency=only("onecopy", falling, rising))) is DEPENDS
    assert outcome("S9", of=runs(latency=constant)) is UNDECIDED


def test_s10_is_decided_by_cycles_or_cpu_time():
    """Cycles by perf where there are some; else CPU time, and the source is said."""
    counted = ruling("S10", of=runs(demand=rising, counters={"cycles": falling}))
    stand_in = ruling("S10", of=runs(demand=falling))

    assert counted.outcome is CONFIRMED
    assert "(perf)" in counted.cases[0].text
    assert stand_in.outcome is CONFIRMED
    assert "CPU time" in stand_in.cases[0].text
    assert outcome("S10", of=runs(counters={"cycles": rising})) is REFUTED
    assert outcome("S10", of=runs(demand=constant)) is UNDECIDED


def test_s11_is_decided_by_zero_copys_cost_over_both_others():
    """Cheapest everywhere, dearest everywhere, at large sizes only, like the others."""
    by_size = only("zerocopy", lambda _m, size, _t: 2.0 if size < 16384 else 0.5, lambda *_: 1.0)

    assert outcome("S11", of=runs(demand=only("zerocopy", lambda *_: 0.5, lambda *_: 1.0))) is CONFIRMED
    assert outcome("S11", of=runs(demand=only("zerocopy", lambda *_: 2.0, lambda *_: 1.0))) is REFUTED
    found = ruling("S11", of=runs(demand=by_size))
    assert (found.outcome, found.depends_on) == (DEPENDS, ["size"])
    assert outcome("S11", of=runs(demand=constant)) is UNDECIDED
