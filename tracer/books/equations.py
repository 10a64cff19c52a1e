"""A law's two sides, and what may lie between them. Pure."""

from __future__ import annotations

from typing import NamedTuple

from tracer.model import Law, LawState


class Slack(NamedTuple):
    """What may explain that the left side has more or less: at most so many bytes, that were counted elsewhere.

    Args:
        upto: Bytes; None where nobody counted them: then they explain nothing.
        reason: "dropped on this machine and sent again".
        is_part: Only some of what explains it could be counted: if there was any, a larger difference proves nothing.
    """

    upto: int | None
    reason: str
    is_part: bool = False


NONE = Slack(0, "")


def law(
    identity: str,
    statement: str,
    left: int | None,
    right: int | None,
    *,
    more: Slack = NONE,
    less: Slack = NONE,
    note: str = "",
    reasons: str = "",
) -> Law:
    """A law with its state: UNKNOWN if a side is unknown, else whether both are equal.

    Args:
        more: What may explain that the left side has more: it is then added to the right side.
        less: What may explain that it has less: it is then taken from the right side.
        reasons: What else could be the cause of a difference.
    """
    if left is None or right is None:
        return Law(id=identity, statement=statement, state=LawState.UNKNOWN, left=left, right=right, note=note)
    slack, sign = (more, 1) if left > right else (less, -1)
    explained = min(abs(left - right), slack.upto or 0)
    right += sign * explained
    state = LawState.HOLDS if left == right else LawState.UNKNOWN if slack.is_part and slack.upto else LawState.BROKEN
    least = "" if left == right else "at least "
    return Law(
        id=identity,
        statement=statement,
        state=state,
        left=left,
        right=right,
        note="; ".join(filter(None, [note, f"{least}{explained:,} B {slack.reason}" if explained else ""])),
        explanation=_explanation(left, right, reasons, slack) if state is LawState.BROKEN else "",
    )


def at_least(identity: str, statement: str, least: int | None, found: int | None, note: str) -> Law:
    """A law whose right side must not be smaller: what exceeds the left side is no difference."""
    right = found if found is None or least is None else min(least, found)
    return law(identity, statement, least, right, note=note, reasons="copies that no probe point saw")


def _explanation(left: int, right: int, reasons: str, slack: Slack) -> str:
    side = "left" if left > right else "right"
    unknown = "drops on this machine, which nobody counted" if slack.upto is None else ""
    could_be = " or ".join(filter(None, [reasons or "an event that the observer did not see", unknown]))
    return f"the {side} side has {abs(left - right):,} more; the reason could be {could_be}"
