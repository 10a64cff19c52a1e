"""One law, with its state. Pure."""

from __future__ import annotations

import msgspec

from tracer.books.receiving import peeked_bytes, taken_in
from tracer.books.tallies import difference, total
from tracer.model import Law, LawState, Workload


def law(identity: str, statement: str, left: int | None, right: int | None, note: str = "") -> Law:
    """A law with its state: UNKNOWN if a side is unknown, else whether both are equal."""
    return _stated(identity, statement, left, right, left == right, note)


def unless(one: Law, reason: str, *, more: int | None = 0, less: int | None = 0) -> Law:
    """A broken law whose difference may be bytes of which nobody knows the side: UNKNOWN, for that reason.

    Args:
        more: At most so much the left side may have too much; None for any amount.
        less: At most so much it may lack; None for any amount.
    """
    if one.state is not LawState.BROKEN or one.left is None or one.right is None:
        return one
    amount, limit = abs(one.left - one.right), more if one.left > one.right else less
    if limit is not None and amount > limit:
        return one
    return msgspec.structs.replace(one, state=LawState.UNKNOWN, note=reason)


def unless_dropped(one: Law, dropped: int | None) -> Law:
    """A law on packets' way where nobody looked for drops: unequal sides may be these, and say nothing."""
    return unless(one, "nobody looked for dropped packets", more=None, less=None) if dropped is None else one


def given_to_driver(identity: str, statement: str, owned: int | None, orphaned: int | None, went_on: int | None) -> Law:
    """The law that what went on came to the driver, though a qdisc may have taken the socket from some packets.

    Packets without a socket are such, or doubles that a qdisc has made. If all that went on came with its socket, they
    are doubles, and the law is as sharp as without them.

    Args:
        owned: Payload that came to the driver with its socket.
        orphaned: Payload without, that came there or was dropped before; None in a recording of before it was counted.
        went_on: What must have come.
    """
    lacking = difference(went_on, owned)
    if not lacking or not orphaned:
        return law(identity, statement, owned, went_on)
    found = min(lacking, orphaned)
    one = law(identity, statement, total(owned, found), went_on, f"{found:,} B of it without their socket")
    if found == orphaned:
        return one
    reason = "packets came without a socket: which of them a qdisc has doubled, nobody knows"
    return msgspec.structs.replace(one, state=LawState.UNKNOWN, note=reason)


def bound(identity: str, statement: str, left: int | None, right: int | None, note: str = "") -> Law:
    """A law whose left side may be more than its right one, but not less."""
    holds = left is not None and right is not None and left >= right
    return _stated(identity, statement, left, right, holds, note)


def _stated(identity: str, statement: str, left: int | None, right: int | None, holds: bool, note: str) -> Law:
    state = LawState.HOLDS if holds else LawState.BROKEN
    if left is None or right is None:
        state = LawState.UNKNOWN
    return Law(id=identity, statement=statement, state=state, left=left, right=right, note=note)


# What is said of bytes that were taken in a way.
_TAKEN = {"discard": "thrown away", "splice": "spliced on", "mapped": "mapped"}


def read_law(identity: str, statement: str, left: int | None, workload: Workload) -> Law:
    """The law that what a reader was given is the payload; what it only peeked at it was given once more.

    Args:
        statement: Of what was copied; the other terms of the way are added.
        left: With all that was taken without a copy.
    """
    terms = [words for way, words in _TAKEN.items() if taken_in(workload, way)]
    peeked = peeked_bytes(workload)
    right = "payload + peeked at" if peeked else "payload"
    return law(identity, f"{' + '.join([statement, *terms])} = {right}", left, workload.payload_bytes + peeked)


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
