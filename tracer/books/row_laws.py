"""What a workload's sockets must keep: their own laws, as a program's do, and the engine as one more witness. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from tracer.books.law import bound, law
from tracer.books.socket_laws import laws_of
from tracer.books.tallies import total
from tracer.model import Law, LawState, Link, Workload
from tracer.model.sockets import Socket, SocketLaw
from tracer.model.watching import BY_ENGINE

_FLAGGED = ("zerocopy", "zerocopy_ignored", "uring_zerocopy")
# The worst first: what one socket breaks, the workload does.
_STATES = (LawState.BROKEN, LawState.UNKNOWN, LawState.HOLDS)


def row_laws(sockets: Collection[Socket], calls: str, link: Link, workload: Workload) -> list[Law]:
    """Those that the link allows, and that have two sides.

    Args:
        calls: As in Hooks: where the engine counted them, it is the one side of the sockets' own laws, and of no more.
    """
    if not sockets:
        return []
    if calls == BY_ENGINE:
        return [law for law in _own(sockets) if law.left is not None and law.right is not None]
    return [*_witnessed(sockets, link, workload), *_own(sockets)]


def _witnessed(sockets: Collection[Socket], link: Link, workload: Workload) -> Iterator[Law]:
    in_calls = "in calls, not bytes"
    sent, sends = sum(one.sent_bytes for one in sockets), _calls(sockets)
    yield law("E1", "accepted by send calls, as the kernel saw = as the engine did", sent, workload.payload_bytes)
    # A pipe's pages become several sends: 16 at most in one (splice_to_socket(), fs/splice.c), before 6.5 each page.
    # Of datagrams, empty ones are sent beside, with which both ends find each other, and end.
    several = workload.datagrams or any("splice" in one.sent for one in sockets)
    calls_law, sign = (bound, ">=") if several else (law, "=")
    statement = f"send calls that accepted bytes, in the kernel {sign} in the engine"
    yield calls_law("E2", statement, sends, workload.sends, in_calls)
    if (
        workload.received_bytes is not None and link is not Link.NIC
    ):  # the reader is another machine's, or the lab's host
        read = sum(one.read_bytes for one in sockets)
        yield law("E3", "returned by reads, as the kernel saw = as the engine did", read, workload.received_bytes)
        yield from _by_way(sockets, workload.taken or {})
    refused = sum(one.refused.enobufs for one in sockets)
    yield law("E4", "sends refused with ENOBUFS, in the kernel = in the engine", refused, workload.enobufs, in_calls)
    if workload.completions is not None:
        statement = "zero-copy sends, in the kernel = notifications, in the engine"
        yield law("E5", statement, _calls(sockets, *_FLAGGED), workload.completions.total, in_calls)


def _by_way(sockets: Collection[Socket], taken: dict[str, int]) -> Iterator[Law]:
    """Of each way but the usual one."""
    for way, number in taken.items():
        if set(taken) != {"copy"}:
            statement = f"read by {way}, as the kernel saw = as the engine did"
            yield law(f"E3 {way}", statement, sum(one.read_by(way) for one in sockets), number)


def _calls(sockets: Collection[Socket], *ways: str) -> int:
    """Send calls in these ways; in all, if none is given."""
    return sum(moved.calls for one in sockets for way, moved in one.sent.items() if not ways or way in ways)


def _own(sockets: Collection[Socket]) -> Iterator[Law]:
    """Each law once, over all the sockets that have it."""
    found: dict[str, list[SocketLaw]] = {}
    for socket in sockets:
        for one in laws_of(socket):
            found.setdefault(one.id, []).append(one)
    yield from (_joined(name, found[name]) for name in sorted(found))


def _joined(name: str, laws: list[SocketLaw]) -> Law:
    state = next(state for state in _STATES if state in {one.state for one in laws})
    notes = dict.fromkeys(one.note for one in laws if one.state is state and one.note)
    left, right = (total(*(getattr(one, side) for one in laws)) for side in ("left", "right"))
    return Law(id=name, statement=laws[0].statement, state=state, left=left, right=right, note="; ".join(notes))
