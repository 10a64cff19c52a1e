"""Which verdicts stood when the whole sweep was done again: one that flips is none. Pure."""

from __future__ import annotations

import msgspec

from tracer.study.claim_rules.findings import Outcome, Ruling


def standing(repeats: list[list[Ruling]]) -> list[Ruling]:
    """For each claim, the first sweep's ruling if every other one came to the same; else it is undecided.

    Args:
        repeats: The rulings of each sweep, in the order of the claims; one sweep alone stands as it is.
    """
    if len(repeats) < 2:
        return repeats[0] if repeats else []
    return [_stood(list(claim)) for claim in zip(*repeats, strict=True)]


def _stood(rulings: list[Ruling]) -> Ruling:
    first, outcomes = rulings[0], [one.outcome for one in rulings]
    if all((one.outcome, one.depends_on) == (first.outcome, first.depends_on) for one in rulings):
        return msgspec.structs.replace(first, repeats=outcomes)
    missing = f"a verdict that stands; {len(rulings)} sweeps came to {', '.join(map(told_outcome, rulings))}"
    return msgspec.structs.replace(
        first, outcome=Outcome.UNDECIDED, depends_on=[], missing=missing, repeats=outcomes,
        sentence=f"Not decided; what is missing: {missing}.",
    )  # fmt: skip


def told_outcome(ruling: Ruling) -> str:
    """An outcome with what it depends on."""
    return f"{ruling.outcome} (on {', '.join(ruling.depends_on)})" if ruling.depends_on else str(ruling.outcome)
