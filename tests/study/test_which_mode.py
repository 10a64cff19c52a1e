"""The advice of compare and sweep, on sweeps made of numbers: what to take where, as far as the intervals tell."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from tests.samples import host
from tests.sweep_samples import MODES, plan, runs, sweep
from tracer.reports.compare import print_comparison
from tracer.reports.sweep import encode_sweep, print_sweep
from tracer.reports.tables import make_console
from tracer.study.comparison import comparison_of
from tracer.study.sweep_plan import Plan, Sweep
from tracer.study.which_mode import advice_of

SIZES = [1024, 4096, 16384, 65536]
ASKED = plan(sizes=SIZES, threads=[1])


def swept(gbps: dict[str, list[float]], of: Plan = ASKED) -> Sweep:
    """By mode, for each size."""
    return sweep(runs(lambda mode, size, _: gbps[mode][SIZES.index(size)], of=of), of)


def test_each_size_has_its_mode_with_the_interval_of_its_lead() -> None:
    """Neighbours that agree are told together, with the least of their leads."""
    found = swept({"twocopy": [1, 1, 1, 1], "onecopy": [4, 3, 2, 2], "zerocopy": [0.5, 0.5, 8, 8]})
    told = advice_of(found)[0]

    assert told.startswith("advice for 1 connection over lo, by throughput: from 1 KiB to 4 KiB onecopy (onecopy's is ")
    assert float(told.partition("onecopy's is ")[2].partition("x twocopy's")[0]) == pytest.approx(3, rel=0.05)
    assert "at 4 KiB); from 16 KiB to 64 KiB zerocopy (zerocopy's is " in told
    assert "UNDECIDED" not in told


def test_what_the_noise_hides_is_undecided() -> None:
    """Between which, and who is clearly behind all the same."""
    found = swept({"twocopy": [2, 2, 2, 2], "onecopy": [2, 2, 2, 2], "zerocopy": [0.5, 0.5, 0.5, 2]})
    told = advice_of(found)[0]

    assert told.count("UNDECIDED between ") == 2
    assert "from 1 KiB to 16 KiB UNDECIDED between " in told
    assert "(not the others: " in told
    assert "x zerocopy's (" in told
    last = told.partition("at 64 KiB UNDECIDED between ")[2]
    assert sorted(last.replace(" and ", ", ").split(", ")) == sorted(MODES)


def test_it_says_how_sure_it_is() -> None:
    """All comparisons count together; with too few repetitions nothing is sure, and it says how many it takes."""
    enough = advice_of(swept(dict.fromkeys(MODES, [1.0] * 4)))
    few = plan(sizes=SIZES, threads=[1], repetitions=5)
    too_few = advice_of(swept({"twocopy": [9.0] * 4, "onecopy": [1.0] * 4, "zerocopy": [1.0] * 4}, few))

    assert enough[-1].startswith("how sure: 95 % for all 12 comparisons together, by 11 repetitions")
    assert too_few[-1] == "how sure: not at all, 5 repetitions are too few: --repetitions 10"
    assert "UNDECIDED" in too_few[0]


def test_of_two_modes_at_one_size_there_is_one_comparison() -> None:
    """A plural of one would be read as a mistake."""
    two = plan(modes=["twocopy", "onecopy"], sizes=[1024], threads=[1])

    assert ": 95 % for its one comparison, by 11 repetitions; " in advice_of(sweep(runs(of=two), two))[-1]


def test_each_number_of_connections_has_its_own() -> None:
    """A sentence each, and one for how sure they are."""
    of = plan(sizes=SIZES, threads=[1, 4])

    assert [one.split(",")[0] for one in advice_of(swept(dict.fromkeys(MODES, [1.0] * 4), of))] == [
        "advice for 1 connection over lo",
        "advice for 4 connections over lo",
        "how sure: 95 % for all 24 comparisons together",
    ]


def test_where_times_mean_nothing_there_is_no_advice() -> None:
    """An emulated CPU, an A/A check, one mode."""
    twice, alone = plan(same_mode_twice=True), plan(modes=["onecopy"])

    assert advice_of(sweep(runs(of=ASKED), ASKED, host=host(emulated=True))) == []
    assert advice_of(sweep(runs(of=twice), twice)) == []
    assert advice_of(sweep(runs(of=alone), alone)) == []


def test_both_screens_end_with_it() -> None:
    """And it is in the JSON."""
    found = swept(dict.fromkeys(MODES, [1.0] * 4))
    one = plan(sizes=[16384], threads=[1])
    comparison = comparison_of(sweep(runs(of=one), one))
    screens = [io.StringIO(), io.StringIO()]
    print_sweep(found, Path("d"), make_console(screens[0]))
    print_comparison(comparison, make_console(screens[1]))

    for stream in screens:
        assert "\n  advice for 1 connection over lo, by throughput: " in stream.getvalue()
        assert "\n  how sure: 95 % for all " in stream.getvalue()
    assert screens[1].getvalue().rstrip().endswith("this load")
    assert comparison.advice
    assert '"advice"' in encode_sweep(found)
