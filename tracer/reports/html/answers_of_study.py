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
    wins = [contest.sentence for contest in comparison.contests] or no_winner(comparison)
    copies = [f"{mode}: {_copies(stages)}." for mode, stages in comparison.copies.items()]
    trust = "Yes: the laws of every mode's observed pass hold." if comparison.trustworthy else "No: see the notes."
    return _answered(
        ("Which mode wins?", wins),
        ("How many times was each byte copied?", copies),
        ("Can I trust it?", [f"{trust} Times rest on {comparison.title}."]),
    )


def _copies(stages: dict[Stage, float]) -> str:
    """Each copy with its place, and what was not copied in the end."""
    found = [f"{stage.replace('_', ' ')} {format_ratio(often)}x" for stage, often in stages.items() if often]
    whole = sum(often for stage, often in stages.items() if is_copy(stage))
    return f"{format_ratio(round(whole, 6))}x copied ({', '.join(found) or 'no stage was seen'})"


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
    """The claims by their outcome, each with the sentence that says why."""
    asked = {Outcome.CONFIRMED: "What is so?", Outcome.REFUTED: "What is not so?", Outcome.DEPENDS: "What depends?",
             Outcome.UNDECIDED: "What could not be decided?"}  # fmt: skip
    return _answered(
        *(
            (question, [f"{one.id}: {one.sentence}" for one in rulings if one.outcome is outcome])
            for outcome, question in asked.items()
        )
    )


def _answered(*asked: tuple[str, Sequence[str]]) -> list[Answer]:
    return [Answer(question, list(lines)) for question, lines in asked if lines]
