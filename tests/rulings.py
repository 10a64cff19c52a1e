"""How the tests of claims ask for one ruling, and the four outcomes by name."""

from __future__ import annotations

from typing import Any

from tracer.model import Recording
from tracer.study.claim_rules.findings import Evidence, Outcome, Ruling, ruling_of
from tracer.study.claims import RULES
from tracer.study.field_claims import FIELD_RULES
from tracer.study.sweep_plan import Run

CONFIRMED, REFUTED, DEPENDS, UNDECIDED = Outcome


def ruling(
    identity: str, *, of: list[Run] | None = None, recordings: list[Recording] | None = None, **other: Any
) -> Ruling:
    evidence = Evidence(of or [], recordings or [], **other)
    return ruling_of(next(rule for rule in (*RULES, *FIELD_RULES) if rule.id == identity), evidence)


def outcome(identity: str, **evidence: Any) -> Outcome:
    return ruling(identity, **evidence).outcome
