"""What a rule finds in the evidence, and how cases add up to an outcome. Pure."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from enum import StrEnum

import msgspec

from tracer.books.analysis import document_of
from tracer.books.perf_attempt import PerfAttempt
from tracer.model import CpuProfile, Document, Recording
from tracer.study.intervals import MIN_REPETITIONS, repetitions_for, repetitions_for_all
from tracer.study.measurements import Family
from tracer.study.sweep_plan import Run


class Outcome(StrEnum):
    """How a claim came out."""

    CONFIRMED = "CONFIRMED"
    REFUTED = "REFUTED"
    DEPENDS = "DEPENDS"
    UNDECIDED = "UNDECIDED"


class Evidence:
    """Everything that claims are judged from.

    Args:
        runs: Of sweeps; they decide claims on time and CPU.
        recordings: Others, for example of the lab; with the sweeps' observed runs they decide claims on bytes.
        perf_attempts: None where nobody tried.
        missing: Why something is not there, or how to get it, in words, by "nic", "perf" or "sweep".
    """

    def __init__(
        self,
        runs: list[Run],
        recordings: list[Recording],
        perf_attempts: list[PerfAttempt] | None = None,
        missing: dict[str, str] | None = None,
    ) -> None:
        observed = [run.recording for run in runs if run.recording.observed] + recordings
        self.books: list[Document] = [
            document for one in observed if one.complete and (document := document_of(one)).ledger.trustworthy
        ]
        self.untrustworthy = len(observed) - len(self.books)
        # An emulated CPU takes its time for what a real one does not: it decides nothing on time or CPU.
        self.runs = [run for run in runs if not run.recording.host.emulated]
        self.emulated = len(self.runs) < len(runs) or any(one.host.emulated for one in recordings)
        everything = [run.recording for run in runs] + recordings
        self.profiled: list[tuple[Recording, CpuProfile]] = [
            (one, one.profile) for one in everything if one.profile is not None and not one.host.emulated
        ]
        self.perf_attempts = perf_attempts
        self.missing = missing or {}
        self.family = Family()

    @property
    def repetitions(self) -> int:
        """Of the sweeps, as far as they got."""
        return max((run.repetition for run in self.runs), default=-1) + 1

    def why_no_times(self) -> str:
        """What a claim on time or CPU lacks; empty if only noise stands in the way."""
        if not self.runs:
            emulated = "times of an emulated CPU decide nothing; " if self.emulated else ""
            return f"{emulated}a sweep on a real CPU: nettrace sweep"
        wanted = repetitions_for(self.family.comparisons)
        if self.repetitions < wanted:
            if "sweep" in self.missing:
                return self.missing["sweep"]
            made = f"for {self.family.comparisons} comparisons" if self.family.comparisons > 1 else "at least"
            enough = max(wanted, repetitions_for_all(len({run.cell for run in self.runs})))
            fix = f"nettrace sweep --repetitions {enough}, into a new directory, is enough for every comparison"
            return f"{wanted} repetitions {made} (there are {self.repetitions}): {fix}"
        return ""

    def within(self, family: Family) -> Evidence:
        """The same evidence, for a rule that makes so many comparisons."""
        other = copy.copy(self)
        other.family = family
        return other

    def halves(self) -> list[Evidence]:
        """The earlier and the later repetitions of the sweeps, each with all the rest."""
        parts = []
        for first, last in ((0, self.repetitions // 2), (self.repetitions // 2, self.repetitions)):
            part = self.within(Family())
            part.runs = [run for run in self.runs if first <= run.repetition < last]
            parts.append(part)
        return parts


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One place where a claim could be put to the test.

    Args:
        where: Mode, size, threads, link and the like: what an outcome may depend on.
        holds: None where the figures do not say.
        text: The figures it rests on.
    """

    where: dict[str, str | int | bool]
    holds: bool | None
    text: str


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule found.

    Args:
        missing: What would be needed to decide; empty where only noise stands in the way.
        remark: What else the reader must know, a clause.
    """

    cases: list[Case]
    missing: str = ""
    remark: str = ""


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """How one claim is settled.

    Args:
        rule: What decides, in words.
        find: The rule itself, a pure function.
        because: By outcome, one sentence; {on} is what it depends on.
    """

    id: str
    claim: str
    rule: str
    find: Callable[[Evidence], Finding]
    because: dict[Outcome, str]


class Ruling(msgspec.Struct, frozen=True, kw_only=True):
    """A claim's verdict with its reasons: what nettrace claims prints.

    Args:
        depends_on: Names of what the cases differ in; empty unless the outcome is DEPENDS.
        missing: What was missing, where the outcome is UNDECIDED.
        repeats: The outcome by each sweep, where there were several; the outcome stands if all are the same.
    """

    id: str
    claim: str
    outcome: Outcome
    depends_on: list[str]
    rule: str
    sentence: str
    missing: str
    cases: list[Case]
    repeats: list[Outcome] = []


def conclude(cases: list[Case]) -> Outcome:
    """All cases hold, none does, or it depends; nothing is concluded if over half of them are undecided."""
    decided = [case.holds for case in cases if case.holds is not None]
    if not decided or 2 * len(decided) < len(cases):
        return Outcome.UNDECIDED
    if all(decided):
        return Outcome.CONFIRMED
    return Outcome.DEPENDS if any(decided) else Outcome.REFUTED


def dependence(cases: list[Case]) -> list[str]:
    """The fewest things that tell the cases that hold from those that do not; all that varies, if nothing does."""
    decided = [case for case in cases if case.holds is not None]
    names = list(dict.fromkeys(name for case in decided for name in case.where))
    varying = [name for name in names if len({case.where.get(name) for case in decided}) > 1]
    for few in range(1, len(varying)):
        for chosen in itertools.combinations(varying, few):
            if _tells(chosen, decided):
                return list(chosen)
    return varying


def _tells(names: tuple[str, ...], decided: list[Case]) -> bool:
    """Whether no two cases that are alike in these came out differently."""
    outcomes: dict[tuple[object, ...], bool | None] = {}
    return all(
        outcomes.setdefault(tuple(case.where.get(name) for name in names), case.holds) is case.holds for case in decided
    )


def ruling_of(rule: Rule, evidence: Evidence) -> Ruling:
    """Apply a rule: first to count the comparisons that it makes, then with intervals that allow for so many."""
    counted = Family()
    rule.find(evidence.within(counted))
    finding = rule.find(evidence.within(Family(counted.made)))
    outcome = conclude(finding.cases)
    depends_on = dependence(finding.cases) if outcome is Outcome.DEPENDS else []
    doubt = _doubt(rule, evidence, finding.cases) if outcome is Outcome.DEPENDS and counted.made else ""
    if doubt:
        outcome, depends_on = Outcome.UNDECIDED, []
    missing = doubt or (_missing(finding) if outcome is Outcome.UNDECIDED else "")
    return Ruling(
        id=rule.id, claim=rule.claim, outcome=outcome, depends_on=depends_on, rule=rule.rule,
        sentence=_sentence(rule, outcome, depends_on, missing, finding.remark), missing=missing, cases=finding.cases,
    )  # fmt: skip


def _doubt(rule: Rule, evidence: Evidence, cases: list[Case]) -> str:
    """Why cases of which some hold and some do not name no dependence; empty if they do.

    Noise that is scattered over the cases would scatter otherwise in another sweep: both halves of the repetitions,
    which are one each, must tell the same story. Their intervals are single ones: they say again what was found.
    """
    if evidence.repetitions < 2 * MIN_REPETITIONS:
        return f"{2 * MIN_REPETITIONS} repetitions, to see in each half of them what it depends on"
    halves = [rule.find(half).cases for half in evidence.halves()]
    if all(_tells_the_same(half, cases) for half in halves):
        return ""
    on = listed(dependence(cases))
    return f"less noise or more repetitions: that it depends on {on} does not show in both halves of the repetitions"


def _tells_the_same(half: list[Case], whole: list[Case]) -> bool:
    """Whether it depends on the same, and no case comes out the other way round."""
    known = [(case.where, case.holds) for case in half if case.holds is not None]
    contrary = any((case.where, not case.holds) in known for case in whole if case.holds is not None)
    return not contrary and conclude(half) is Outcome.DEPENDS and dependence(half) == dependence(whole)


def _sentence(rule: Rule, outcome: Outcome, depends_on: list[str], missing: str, remark: str) -> str:
    if outcome is Outcome.UNDECIDED:
        sentence = f"Not decided; what is missing: {missing}."
    else:
        sentence = rule.because[outcome].format(on=listed(depends_on))
    return f"{sentence.rstrip('.')}; {remark}." if remark else sentence


def listed(names: list[str]) -> str:
    """Names in a sentence: "a, b and c"."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1] if names else ""]))


def _missing(finding: Finding) -> str:
    if finding.missing or not finding.cases:
        return finding.missing or "anything to judge it from"
    unclear = sum(case.holds is None for case in finding.cases)
    return (
        f"less noise or more repetitions: {unclear} of {len(finding.cases)} comparisons show no difference beyond noise"
    )
