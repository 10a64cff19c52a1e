"""One law, with its state. Pure."""

from __future__ import annotations

from tracer.model import Law, LawState, Workload


def law(identity: str, statement: str, left: int | None, right: int | None, note: str = "") -> Law:
    """A law with its state: UNKNOWN if a side is unknown, else whether both are equal."""
    return _stated(identity, statement, left, right, left == right, note)


def bound(identity: str, statement: str, left: int | None, right: int | None, note: str = "") -> Law:
    """A law whose left side may be more than its right one, but not less."""
    holds = left is not None and right is not None and left >= right
    return _stated(identity, statement, left, right, holds, note)


def _stated(identity: str, statement: str, left: int | None, right: int | None, holds: bool, note: str) -> Law:
    state = LawState.HOLDS if holds else LawState.BROKEN
    if left is None or right is None:
        state = LawState.UNKNOWN
    return Law(id=identity, statement=statement, state=state, left=left, right=right, note=note)


def completions_say_copied(workload: Workload) -> int | None:
    """Payload of which the kernel's completions say that it was copied; None where they say so of a part.

    The kernel merges notifications of neighbours into one range whatever they say (skb_zerocopy_notify_extend()), so
    only where all say the same is it known which bytes they speak of.
    """
    done = workload.completions
    if done is None or done.copied != done.total or not done.total:
        return None
    return workload.payload_bytes
