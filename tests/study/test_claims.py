"""What holds of every claim: open without evidence, a sentence for each outcome, noise decides nothing."""

from __future__ import annotations

import random
from typing import Any

import msgspec

from tests.rulings import CONFIRMED, DEPENDS, REFUTED, UNDECIDED, outcome, ruling
from tests.samples import copied, workload
from tests.sweep_samples import falling, only, plan, rising, run, runs
from tracer.study.claim_rules.findings import Case, Evidence, conclude, dependence
from tracer.study.claims import RULES, judge
from tracer.study.field_claims import FIELD_RULES
from tracer.study.sweep_plan import Run


def test_without_any_evidence_every_claim_is_open():
    """And each says what is missing."""
    rulings = judge(Evidence([], []))

    assert [one.id for one in rulings] == [*(f"S{number}" for number in range(1, 19)), "F1", "F2", "F3", "F4"]
    assert {one.outcome for one in rulings} == {UNDECIDED}
    assert all(one.missing and one.missing in one.sentence for one in rulings)


def test_every_rule_has_a_sentence_for_every_outcome():
    """Sentences are data; none may be missing."""
    for rule in (*RULES, *FIELD_RULES):
        assert set(rule.because) == {CONFIRMED, REFUTED, DEPENDS}
        assert "{on}" in rule.because[DEPENDS]


def test_runs_without_any_payload_decide_nothing():
    """A recording of nothing has no ratio."""
    empty = msgspec.structs.replace(copied("twocopy"), observed=workload("twocopy", payload_bytes=0, received_bytes=0))

    assert outcome("S1", recordings=[empty]) is UNDECIDED


def wild(seed: int) -> list[Run]:
    """Throughput without any trend at all, scattered by a factor of ten."""
    dice = random.Random(seed)
    return [
        run(*cell, number, gbps=10 ** dice.random(), label=cell.label)
        for cell in plan().cells()
        for number in range(11)
    ]


def test_noise_alone_decides_nothing():
    """Eight sweeps of nothing but noise: their 48 comparisons each once made a dependence of it."""
    sweeps = [wild(seed) for seed in range(8)]
    outcomes = {outcome(identity, of=one) for one in sweeps for identity in ("S6", "S7", "S15", "S17")}

    assert outcomes == {UNDECIDED}


def test_a_dependence_shows_in_both_halves_of_the_repetitions():
    """22 of 26 repetitions say that zerocopy is the odd one out; if one half has the other four, it does not say so."""
    of = plan(repetitions=26)
    odd, even = runs(only("zerocopy", falling, rising), of=of), runs(rising, of=of)

    def mixed(*like_the_rest: int) -> list[Run]:
        return [two if one.repetition in like_the_rest else one for one, two in zip(odd, even, strict=True)]

    assert ruling("S6", of=mixed(3, 9, 17, 22)).depends_on == ["mode"]
    found = ruling("S6", of=mixed(14, 17, 20, 23))
    assert found.outcome is UNDECIDED
    assert "depends on mode does not show in both halves" in found.missing


def test_few_repetitions_say_how_many_it_takes():
    """For as many comparisons as the rule makes."""
    found = ruling("S6", of=[one for one in runs() if one.repetition < 5])

    assert found.outcome is UNDECIDED
    assert "11 repetitions for 36 comparisons (there are 5): nettrace sweep --repetitions 11" in found.missing


def case(holds: bool | None, **where: Any) -> Case:
    return Case(where=where, holds=holds, text="")


def test_an_outcome_takes_at_least_half_of_the_cases():
    """Two clear cases among noise do not settle a claim."""
    assert conclude([case(True), case(True), case(None), case(None)]) is CONFIRMED
    assert conclude([case(True), case(None), case(None)]) is UNDECIDED
    assert conclude([case(True), case(False)]) is DEPENDS
    assert conclude([case(False), case(False)]) is REFUTED
    assert conclude([]) is UNDECIDED


def test_a_dependence_names_what_separates_the_cases():
    """The link tells them apart; the size, which occurs on both sides, does not."""
    cases = [case(True, link="nic", size=1), case(True, link="nic", size=2), case(False, link="lo", size=1)]

    assert dependence(cases) == ["link"]


def test_a_dependence_without_a_single_cause_names_all_that_varies():
    """It takes both to tell."""
    cases = [
        case(True, sg=True, bounce=False, link="nic"),
        case(False, sg=False, bounce=False, link="nic"),
        case(False, sg=True, bounce=True, link="nic"),
    ]

    assert dependence(cases) == ["sg", "bounce"]
