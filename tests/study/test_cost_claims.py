"""Claims on costs and crossovers (S12 to S17): evidence in which each is true, false, and undecidable."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.rulings import CONFIRMED, DEPENDS, REFUTED, UNDECIDED, outcome, ruling
from tests.sweep_samples import (
    SIZES,
    by_mode,
    falling,
    few,
    growing,
    only,
    plan,
    profile,
    rising,
    runs,
    shrinking,
)
from tracer.study.claim_rules.findings import Case, dependence
from tracer.study.sweep_plan import Run


def with_profile(found: list[Run], **shares: float) -> list[Run]:
    """The first repetitions of zerocopy get a profile."""
    return [
        msgspec.structs.replace(one, recording=msgspec.structs.replace(one.recording, profile=profile(**shares)))
        if one.label == "zerocopy" and one.repetition == 0
        else one
        for one in found
    ]


SLOW = by_mode(zerocopy=0.2)


def test_s12_needs_zero_copy_to_be_slow_for_the_reason_given():
    """Slow by pinning; slow by something else; fast; slow by nobody knows what: half of the samples are unmapped."""
    assert outcome("S12", of=with_profile(runs(SLOW), pin=0.4, completion=0.3, copy_out=0.3)) is CONFIRMED
    assert outcome("S12", of=with_profile(runs(SLOW), pin=0.1, scheduling=0.9)) is REFUTED
    assert outcome("S12", of=with_profile(runs(by_mode(zerocopy=5.0)), pin=0.9)) is REFUTED
    assert outcome("S12", of=with_profile(runs(SLOW), pin=0.4, unmapped=0.4, copy_out=0.2)) is UNDECIDED
    unexplained = ruling("S12", of=runs(SLOW))
    assert unexplained.outcome is UNDECIDED
    assert "why is not known" in unexplained.missing


def test_s12_is_open_by_a_dozen_samples():
    """It is slower, and nobody knows why."""
    found = [
        msgspec.structs.replace(
            one,
            recording=msgspec.structs.replace(
                one.recording, profile=few("zerocopy", 12, pin=0.1, scheduling=0.9).profile
            ),
        )
        for one in runs(SLOW)
    ]
    judged = ruling("S12", of=found)

    assert judged.outcome is UNDECIDED
    assert "it is slower, but why is not known: more samples" in judged.missing


def test_s12_says_which_half_of_it_fails():
    """Slower for another reason is not the same as not slower."""
    other = ruling("S12", of=with_profile(runs(SLOW), pin=0.1, timers=0.9))
    fast = ruling("S12", of=runs(by_mode(zerocopy=50.0)))

    assert "it is slower, but pinning" in other.sentence
    assert "timers 90%" in other.sentence
    assert "it is not slower" in fast.sentence


def test_what_a_verdict_depends_on_is_the_least_that_tells_its_cases_apart():
    """Three things together, and nothing that merely varies."""
    cases = [
        Case(where={"link": link, "gather": gather, "size": size}, holds=link == "nic" and gather, text="")
        for link, gather, size in [("nic", True, 1), ("nic", False, 1), ("lo", True, 1), ("lo", True, 2)]
    ]

    assert dependence(cases) == ["link", "gather"]
    assert dependence([*cases, Case(where={"link": "nic", "gather": True, "size": 2}, holds=True, text="")]) == [
        "link",
        "gather",
    ]


def test_s12_is_about_small_messages():
    """A sweep of large ones decides nothing."""
    large = plan(sizes=[16384, 65536])

    assert outcome("S12", of=with_profile(runs(SLOW, of=large), pin=0.9)) is UNDECIDED


def fewer_misses(mode: str, size: int, threads: int) -> float:  # noqa: ARG001
    """Half as many at the smallest size, an eighth at the largest."""
    return 1.0 if mode == "twocopy" else 0.5 / (1 + SIZES.index(size))


@pytest.mark.parametrize(
    ("misses", "expected"),
    [
        (fewer_misses, CONFIRMED),
        (lambda mode, size, threads: 1 / fewer_misses(mode, size, threads), REFUTED),
        (lambda mode, size, threads: fewer_misses(mode, 65536 * 1024 // size, threads), REFUTED),
        (only("zerocopy", lambda *_: 3.0, fewer_misses), DEPENDS),
    ],
)
@pytest.mark.parametrize("event", ["LLC-load-misses", "branch-misses"])
def test_s13_is_decided_by_misses_a_byte(misses, expected, event):
    """Of the last-level cache, or branch misses in their place."""
    assert outcome("S13", of=runs(counters={event: misses})) is expected


def test_s13_is_open_on_a_machine_without_counters():
    """No hardware counter at all: nothing is invented."""
    found = ruling("S13", of=runs())

    assert found.outcome is UNDECIDED
    assert "no counter" in found.missing


def test_s14_is_decided_by_switches_a_byte():
    """More, fewer, uncounted."""
    assert outcome("S14", of=runs(counters={"context-switches": growing})) is CONFIRMED
    assert outcome("S14", of=runs(counters={"context-switches": shrinking})) is REFUTED
    assert outcome("S14", of=runs(counters={"context-switches": only("onecopy", shrinking, growing)})) is DEPENDS
    assert outcome("S14", of=runs()) is UNDECIDED


def crossing(mode_that_crosses: str, at: float):
    """That mode's throughput passes two-copy's at a size; the steeper the further away."""
    return lambda mode, size, _: 10 * ((size / at) ** 0.3 if mode == mode_that_crosses else 1.0)


@pytest.mark.parametrize(("identity", "mode", "claimed"), [("S15", "onecopy", 4096), ("S16", "zerocopy", 16384)])
def test_s15_and_s16_need_a_crossover_near_the_size(identity, mode, claimed):
    """There; elsewhere; nowhere because one mode leads throughout; unclear."""
    assert outcome(identity, of=runs(crossing(mode, claimed * 1.2))) is CONFIRMED
    assert outcome(identity, of=runs(crossing(mode, {4096: 30000.0, 16384: 2000.0}[claimed]))) is REFUTED
    assert outcome(identity, of=runs(by_mode(**{mode: 0.5}))) is REFUTED
    assert outcome(identity, of=runs(by_mode(**{mode: 2.0}))) is REFUTED
    assert outcome(identity, of=runs(by_mode())) is UNDECIDED


def test_s17_needs_zero_copy_to_be_surely_less_than_five_percent_ahead():
    """Slower; clearly faster; too noisy to say."""
    noisy = runs(by_mode(), noise=(1.0, 1.5, 0.7, 1.3, 0.8))
    large = plan(sizes=[16384])

    assert outcome("S17", of=runs(SLOW)) is CONFIRMED
    assert outcome("S17", of=runs(by_mode(zerocopy=2.0))) is REFUTED
    assert outcome("S17", of=noisy) is UNDECIDED
    assert outcome("S17", of=runs(SLOW, of=large)) is UNDECIDED


TIME_CLAIMS = ["S6", "S7", "S8", "S9", "S10", "S11", "S12", "S13", "S14", "S15", "S16", "S17"]
TELLING: dict[str, Any] = {
    "throughput": by_mode(zerocopy=0.2, onecopy=2.0), "latency": rising, "demand": falling,
    "counters": {"context-switches": growing, "LLC-load-misses": fewer_misses, "cycles": falling},
}  # fmt: skip


@pytest.mark.parametrize("identity", TIME_CLAIMS)
def test_no_claim_on_time_or_cpu_is_decided_by_an_emulated_cpu(identity):
    """Whatever its figures say; and the reason is given."""
    found = ruling(identity, of=runs(**TELLING, emulated=True))

    assert found.outcome is UNDECIDED
    assert "emulated" in found.missing


@pytest.mark.parametrize("identity", TIME_CLAIMS)
def test_no_claim_on_time_or_cpu_is_decided_by_one_repetition(identity):
    """A figure without an interval is an anecdote."""
    found = ruling(identity, of=[one for one in runs(**TELLING) if one.repetition == 0])

    assert found.outcome is UNDECIDED
    assert "(there are 1): nettrace sweep --repetitions" in found.missing
