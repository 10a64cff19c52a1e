"""In short, above a page of the study: what a comparison, a sweep or verdicts answer. The words are the screens'."""

from __future__ import annotations

from collections.abc import Sequence

from tracer.model import Stage
from tracer.reports.compare import no_winner
from tracer.reports.html.answers import is_copy
from tracer.reports.html.page import Answer
from tracer.reports.sweep import crossover_lines, repeat_lines
from tracer.study.claim_rules.findings import Outcome, Ruling
from tracer.study.comparison import Comparison
from tracer.study.sweep_answer import answer_of
from tracer.study.sweep_plan import Sweep
from tracer.units import format_ratio


def answers_of_comparison(comparison: Comparison) -> list[Answer]:
    """Who wins, how often each mode has a byte copied, whether it can be believed."""
    wins = [f"{one.sentence.partition(':')[0]}: {one.winner or 'no mode is known to'}" for one in comparison.contests]
    copies = [f"{mode}: {_copies(comparison.copies[mode])}." for mode in comparison.modes if mode in comparison.copies]
    trust = "Yes: the laws of every mode's observed pass hold" if comparison.trustworthy else "No: see the notes"
    return _answered(
        ("Which mode wins?", wins or no_winner(comparison)),
        ("How many times was each byte copied?", copies),
        ("Can I trust it?", [f"{trust}. Times are medians; their ratios' intervals hold together with 95 %."]),
    )


def _copies(stages: dict[Stage, float]) -> str:
    """Each copy with its place, and what was not copied there."""
    copied = {stage: often for stage, often in stages.items() if often and is_copy(stage)}
    spared = {stage: often for stage, often in stages.items() if often and not is_copy(stage)}
    told = "; not copied: ".join(_listed(one) for one in (copied, spared) if one)
    return f"{format_ratio(round(sum(copied.values()), 6))}x copied{f' ({told})' if told else ''}"


def _listed(stages: dict[Stage, float]) -> str:
    return ", ".join(f"{stage.replace('_', ' ')} {format_ratio(often)}x" for stage, often in stages.items())


def answers_of_sweep(sweep: Sweep, following: str) -> list[Answer]:
    """From which size on a mode pays, or what keeps the sweep from saying so.

    Args:
        following: What to do next.
    """
    return _answered(
        ("From which size does a mode pay?", answer_of(sweep)),
        ("Why is that so?", crossover_lines(sweep)),
        ("How much do two runs of one mode differ?", repeat_lines(sweep)[-1:]),
        ("What next?", [following]),
    )


def answers_of_claims(rulings: list[Ruling]) -> list[Answer]:
    """The claims by their outcome, each with the sentence that says why; of the undecided ones that is a list."""
    undecided = [one.id for one in rulings if one.outcome is Outcome.UNDECIDED]
    missing = [f"{', '.join(undecided)}: what is missing for each stands in the table."] if undecided else []
    return _answered(
        ("What is so?", _told(rulings, Outcome.CONFIRMED)),
        ("What is not so?", _told(rulings, Outcome.REFUTED)),
        ("What depends, and on what?", _told(rulings, Outcome.DEPENDS)),
        ("What could not be decided?", missing),
    )


def _told(rulings: list[Ruling], outcome: Outcome) -> list[str]:
    return [f"{one.id}: {one.sentence}" for one in rulings if one.outcome is outcome]


def _answered(*asked: tuple[str, Sequence[str]]) -> list[Answer]:
    return [Answer(question, list(lines)) for question, lines in asked if lines]
