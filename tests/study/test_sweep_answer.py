"""The sentences at the end of a sweep, on sweeps made of numbers."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest

from tests.samples import host
from tests.sweep_samples import MODES, plan, runs, sweep
from tracer.reports.sweep import print_sweep
from tracer.reports.tables import make_console
from tracer.study.intervals import repetitions_for_all
from tracer.study.sweep_answer import answer_of
from tracer.study.sweep_plan import Sweep

BY_THROUGHPUT = "against twocopy over lo by throughput."


def swept(threads: tuple[int, ...] = (1,), modes: tuple[str, ...] = ("twocopy", "zerocopy"), **ratios: float) -> Sweep:
    """Zero-copy over two-copy at a size: as "s1024" says, for all numbers of threads, or as "s1024_4" does for 4."""
    of = plan(threads=[*threads], modes=[*modes])

    def throughput(mode: str, size: int, number: int) -> float:
        return 10 * (ratios.get(f"s{size}_{number}", ratios.get(f"s{size}", 1.0)) if mode == "zerocopy" else 1)

    return sweep(runs(throughput, of=of), of)


@pytest.mark.parametrize(
    ("ratios", "told"),
    [
        ({"s1024": 0.5, "s4096": 0.8, "s16384": 1.3, "s65536": 2.0}, "zerocopy pays from 16 KiB on"),
        ({"s1024": 0.5, "s4096": 0.5, "s16384": 0.5, "s65536": 0.5}, "zerocopy does not pay up to 64 KiB"),
        ({"s1024": 2.0, "s4096": 2.0, "s16384": 2.0, "s65536": 2.0}, "zerocopy pays at every size"),
        ({}, "zerocopy is not known to pay or to lose at any size"),
        (
            {"s1024": 0.5, "s4096": 0.5},
            "zerocopy does not pay at 1 KiB and 4 KiB, is not known to pay or to lose at 16 KiB and 64 KiB",
        ),
        (
            {"s1024": 2.0, "s4096": 0.5, "s16384": 0.5, "s65536": 2.0},
            "zerocopy pays at 1 KiB and 64 KiB, does not pay at 4 KiB and 16 KiB",
        ),
    ],
)
def test_the_answer_says_from_which_size_zero_copy_pays(ratios: dict[str, float], told: str) -> None:
    """As far as the intervals allow to say so, and no further."""
    assert answer_of(swept(**ratios)) == [f"{told}, {BY_THROUGHPUT}"]


def test_numbers_of_threads_that_differ_are_told_apart() -> None:
    """And those that agree, together."""
    found = swept((1, 2, 4), s1024=0.5, s4096=0.5, s16384=0.5, s65536=2.0, s65536_1=0.5)

    assert answer_of(found) == [
        f"zerocopy does not pay up to 64 KiB with 1 thread; pays from 64 KiB on with 2 and 4 threads, {BY_THROUGHPUT}"
    ]


def test_a_sentence_for_each_mode_that_is_set_against_two_copy() -> None:
    """One-copy too."""
    assert [text.split()[0] for text in answer_of(swept(modes=tuple(MODES)))] == ["onecopy", "zerocopy"]


def test_a_sweep_that_compares_nothing_says_why() -> None:
    """Without two-copy, or of an emulated CPU; an A/A check has no such question."""
    emulated = sweep(of=plan(threads=[1]), host=host(emulated=True))
    alone = plan(modes=["zerocopy"], threads=[1])
    twice = plan(threads=[1], same_mode_twice=True)

    assert "the CPU is emulated" in answer_of(emulated)[0]
    assert "it takes twocopy" in answer_of(sweep(runs(of=alone), alone))[0]
    assert answer_of(sweep(runs(of=twice), twice)) == []


def test_advice_leads_to_an_answer() -> None:
    """Twice two repetitions would be too few to tell anything: no size can be judged by four."""
    of = plan(modes=["twocopy", "zerocopy"], sizes=[1024, 65536], threads=[1], repetitions=2)
    stream = io.StringIO()
    print_sweep(sweep(runs(of=of), of), Path("d"), make_console(stream))

    *_, sure, following = stream.getvalue().splitlines()
    assert sure.endswith(f"--repetitions {repetitions_for_all(4)}")
    assert following.endswith("; or so many repetitions, in another directory")


@pytest.mark.parametrize(
    ("ratios", "command"),
    [
        ({}, "--repetitions 22"),
        (dict.fromkeys(("s1024", "s4096", "s16384", "s65536"), 2.0), "nettrace claims 'my sweep'"),
    ],
)
def test_the_screen_ends_with_the_answer_and_what_to_do_next(ratios: dict[str, float], command: str) -> None:
    """More repetitions where noise hides the answer; else the judgement."""
    stream = io.StringIO()
    print_sweep(swept(**ratios), Path("my sweep"), make_console(stream))
    *before, following = stream.getvalue().splitlines()

    assert any(line.startswith("zerocopy ") for line in before)
    assert following.startswith("  next: nettrace plot 'my sweep'")
    assert command in following


@pytest.mark.parametrize("repetitions", [1, 2, 5])
def test_too_few_repetitions_are_told_with_one_number(repetitions: int) -> None:
    """How sure it is says it, and what to do next does not say it again."""
    of = plan(sizes=[1024, 65536], threads=[1], repetitions=repetitions)
    stream = io.StringIO()
    print_sweep(sweep(runs(of=of), of), Path("d"), make_console(stream))
    told = re.findall(r"--repetitions (\d+)", stream.getvalue())

    assert told == [str(max(2 * repetitions, repetitions_for_all(6)))]
