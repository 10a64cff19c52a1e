"""One law, with its state. Pure."""

from __future__ import annotations

import msgspec

from tracer.model import Law, LawState, Workload


def law(identity: str, statement: str, left: int | None, right: int | None, note: str = "") -> Law:
    """A law with its state: UNKNOWN if a side is unknown, else whether both are equal."""
    return _stated(identity, statement, left, right, left == right, note)


def unless_dropped(one: Law, dropped: int | None) -> Law:
    """A law on packets' way where nobody looked for drops: unequal sides may be these, and say nothing."""
    if dropped is None and one.state is LawState.BROKEN:
        return msgspec.structs.replace(one, state=LawState.UNKNOWN, note="nobody looked for dropped packets")
    return one


def bound(identity: str, statement: str, left: int | None, right: int | None, note: str = "") -> Law:
    """A law whose left side may be more than its right one, but not less."""
    holds = left is not None and right is not None and left >= right
    return _stated(identity, statement, left, right, holds, note)


def _stated(identity: str, statement: str, left: int | None, right: int | None, holds: bool, note: str) -> Law:
    state = LawState.HOLDS if holds else LawState.BROKEN
    if left is None or right is None:
        state = LawState.UNKNOWN
    return Law(id=identity, statement=statement, state=state, left=left, right=right, note=note)


def copied_as_completed(copied_later: int | None, pinned: int | None, workload: Workload) -> list[Law]:
    """Completions that say copied bound what was copied after the send call, where all of them say so.

    Not where they say so of a part: the kernel merges notifications of neighbours into one range whatever they say
    (skb_zerocopy_notify_extend()), so which bytes they speak of is not known.
    """
    done = workload.completions
    if done is None or done.copied != done.total or not done.total or pinned is None:
        return []
    statement = "bytes copied after the send call >= bytes whose completions say copied"
    return [bound("L8", statement, copied_later, pinned)]
