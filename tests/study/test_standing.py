"""A verdict stands if the whole sweep, done again, comes to the same."""

from __future__ import annotations

from tests.sweep_samples import plan, rising, runs
from tracer.reports.claims import count, told_repeats
from tracer.study.claim_rules.findings import Evidence, Outcome
from tracer.study.claims import judge
from tracer.study.standing import standing


def falling(mode: str, size: int, threads: int) -> float:
    return 1e6 / rising(mode, size, threads)


def by_threads(mode: str, size: int, threads: int) -> float:
    return (rising if threads < 4 else falling)(mode, size, threads)


def by_mode(mode: str, size: int, threads: int) -> float:
    return (rising if mode == "onecopy" else falling)(mode, size, threads)


def s6_of(*sweeps):
    repeats = [judge(Evidence(runs(throughput, of=plan(sizes=[1024, 65536])), [])) for throughput in sweeps]
    return next(one for one in standing(repeats) if one.id == "S6")


def test_a_verdict_that_every_sweep_comes_to_stands():
    """With the outcome of each."""
    found = s6_of(rising, rising, rising)

    assert found.outcome is Outcome.CONFIRMED
    assert found.repeats == [Outcome.CONFIRMED] * 3
    assert told_repeats(found) == ["by sweep: CONFIRMED, CONFIRMED, CONFIRMED"]


def test_a_verdict_that_flips_is_none():
    """And says between what."""
    found = s6_of(rising, falling, rising)

    assert found.outcome is Outcome.UNDECIDED
    assert "3 sweeps came to CONFIRMED, REFUTED, CONFIRMED" in found.sentence


def test_a_dependence_on_something_else_is_another_verdict():
    """DEPENDS twice, and not on the same."""
    found = s6_of(by_threads, by_mode)

    assert (found.outcome, found.depends_on) == (Outcome.UNDECIDED, [])
    assert "DEPENDS (on threads), DEPENDS (on mode)" in found.missing


def test_one_sweep_stands_as_it_is():
    """Nothing is said of repeats."""
    rulings = judge(Evidence(runs(), []))

    assert standing([rulings]) == rulings
    assert "sweeps" not in count(rulings)


def test_the_headline_says_how_many_stood():
    """Of all of them."""
    flat = plan(sizes=[1024, 65536])
    rulings = [judge(Evidence(runs(throughput, of=flat), [])) for throughput in (rising, falling)]

    assert count(standing(rulings)).endswith("; 21 came out alike in 2 sweeps")
