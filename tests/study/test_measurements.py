"""What the figures of a sweep may be compared with, and what they do not tell."""

from __future__ import annotations

import msgspec

from tests.samples import host
from tests.sweep_samples import plan, run, sweep
from tracer.study.crossovers import crossovers
from tracer.study.measurements import CYCLES, DEMAND, MISSES, Samples
from tracer.study.repeats import repeats
from tracer.study.sweep_plan import jobs_of


def test_an_emulated_cpu_has_no_crossover():
    """Whatever its times are."""
    assert crossovers(sweep()) != []
    assert crossovers(sweep(host=host(emulated=True))) == []


def test_figures_of_different_sources_are_never_compared():
    """Cycles by perf and by a stand-in, or misses of different events, have no ratio."""
    mixed = Samples(
        [
            run("twocopy", 1024, 1, 0, counters={"LLC-load-misses": 1.0}),
            run("onecopy", 1024, 1, 0, counters={"branch-misses": 1.0}),
        ],
        MISSES,
    )

    assert not mixed.comparable
    assert mixed.ratio(*mixed.cells()) is None


def test_a_cell_that_few_repetitions_could_measure_has_no_median():
    """What was too small for the clock's ticks in most of them is not told by the few in which it was large."""
    seldom = [run("twocopy", 1024, 1, number, cpu_us_per_kib=0.9 if number < 3 else 0.01) for number in range(7)]
    mostly = [run("onecopy", 1024, 1, number, cpu_us_per_kib=0.01 if number < 1 else 0.9) for number in range(7)]
    ticks = [
        msgspec.structs.replace(one, recording=msgspec.structs.replace(one.recording, workload=by_ticks(one)))
        for one in seldom + mostly
    ]

    assert [cell.label for cell in Samples(ticks, DEMAND).cells()] == ["onecopy"]


def by_ticks(one):
    """The same CPU time, as the clock's ticks alone tell it."""
    bare = one.recording.workload
    sides = ("sender_cpu_ns", "receiver_cpu_ns")
    by_mode = {name: msgspec.structs.replace(getattr(bare, name), total=None) for name in sides}
    return msgspec.structs.replace(bare, **by_mode)


def test_a_machine_without_counters_has_no_cycles():
    """No hardware counter at all: no value, no source, no invented figure."""
    assert Samples(sweep().runs, CYCLES).cells() == []


def test_an_a_a_check_compares_each_mode_with_itself():
    """Labels differ, the mode is the same, the interval of the ratio holds 1."""
    same = plan(sizes=[1024], threads=[1], same_mode_twice=True)
    found = repeats(sweep(of=same))

    assert [one.mode for one in found] == ["twocopy", "onecopy", "zerocopy"]
    assert all(one.clean for one in found)
    assert len(jobs_of(same)) == 66
