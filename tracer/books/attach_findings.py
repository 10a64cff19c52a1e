"""What a reader of a recording of processes that ran already should know before the figures. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from tracer.model.socket_recording import Finding, SocketRecording
from tracer.model.sockets import Socket
from tracer.texts import counted

_NOT_FOR_ATTACH = frozenset({"no-socket", "unused-socket"})


class Uncounted(NamedTuple):
    """TCP connections that have no row, because the kernel refuses to look for them: what TCP itself says.

    Args:
        ended: More of them, which have ended meanwhile: of these nobody knows.
        sent, received: Bytes, while it was watched.
        why: The kernel's words.
    """

    connections: int
    ended: int
    sent: int
    received: int
    why: str


def attached_findings(
    recording: SocketRecording, unseen: list[str], uncounted: Uncounted | None = None
) -> SocketRecording:
    """The recording, which has its findings, with what attaching adds to them; those of a command are left out.

    Args:
        unseen: Sockets of the processes that could not be watched, each in words.
        uncounted: Connections of which TCP's own figures alone are known; they are among the lost.
    """
    told_otherwise = _NOT_FOR_ATTACH | ({"lost"} if uncounted else set())
    common = [one for one in recording.findings if one.code not in told_otherwise]
    nothing = () if uncounted else _of_nothing(recording)
    found = [*_of_the_uncounted(uncounted), *_of_the_beginning(recording), *_of_the_unseen(unseen), *nothing, *common]
    return msgspec.structs.replace(recording, findings=found)


def _of_the_uncounted(found: Uncounted | None) -> Iterator[Finding]:
    if found is None:
        return
    ended = f"; {found.ended:,} more ended, and what these moved is not known" if found.ended else ""
    yield Finding(
        code="past-not-seen",
        sentence=f"{counted(found.connections, 'connection')} cannot be counted call by call: on them TCP says that it "
        f"was handed {found.sent:,} B and received {found.received:,} B (inet_diag), by ways that nobody saw{ended}",
        why=f"this kernel refuses to look through sockets (BPF iterators: {found.why}): none that was there has a row",
        fix="nettrace record starts the program itself, and sees its sockets as they are made",
        figures={
            "connections": found.connections,
            "ended": found.ended,
            "sent": found.sent,
            "received": found.received,
        },
    )


def _of_the_beginning(recording: SocketRecording) -> Iterator[Finding]:
    before = [socket.before for socket in recording.sockets if socket.before is not None]
    unsent, unread = sum(one.unsent for one in before), sum(one.unread + one.missed for one in before)
    if unsent or unread:
        yield Finding(
            code="queued-at-the-beginning",
            sentence=f"when the watching began {' and '.join(told for told, _ in _queued(unsent, unread))}",
            why="; ".join(why for _, why in _queued(unsent, unread)),
            figures={"unsent": unsent, "unread": unread},
        )
    waited = sum(_waited(socket) for socket in recording.sockets)
    if waited:
        yield Finding(
            code="in-progress-at-the-beginning",
            sentence=f"{counted(waited, 'call')} had begun before the watching did: what they had moved is left out",
            why="they waited in the middle, for room or for data",
            figures={"calls": waited},
        )
    going = sum(socket.in_progress for socket in recording.sockets)
    if going:
        yield Finding(
            code="in-progress",
            sentence=f"{counted(going, 'socket')} had a call in progress when the watching ended",
            why="its bytes have left or come, and the call has not returned: they are in the packets, not in the calls",
            figures={"sockets": going},
        )


def _queued(unsent: int, unread: int) -> Iterator[tuple[str, str]]:
    if unsent:
        why = "the calls that had sent those are not counted, the packets they leave in are"
        yield f"{unsent:,} B waited to leave", why
    if unread:
        why = "the packets that had brought these are not counted, the reads that take them are"
        yield f"{unread:,} B waited to be read", why


def _waited(socket: Socket) -> int:
    """Calls on it that had begun before; one that is seen only at a function's return may never have been."""
    if socket.before is None:
        return 0
    sent = socket.before.was_sending or (not socket.sent and socket.left.bytes > socket.before.unsent)
    read = socket.before.was_reading or (not socket.read and bool(socket.consumed_bytes))
    return sent + read


def _of_the_unseen(unseen: list[str]) -> Iterator[Finding]:
    if unseen:
        more = f", and {len(unseen) - 5:,} more" if len(unseen) > 5 else ""
        yield Finding(
            code="not-seen",
            sentence=f"not seen: {', '.join(unseen[:5])}{more}",
            why="they came from another process later, are registered with io_uring alone, or are of a network "
            "namespace that none of the processes is in",
            figures={"sockets": len(unseen)},
        )


def _of_nothing(recording: SocketRecording) -> Iterator[Finding]:
    if not recording.unlisted_sockets and not any(map(_moved, recording.sockets)):
        yield Finding(
            code="no-socket",
            sentence="none of its TCP or UDP sockets moved a byte while it was watched",
            why="it was idle, it uses none, or another process does its work",
            fix="attach while it works, or to the process that does the work: -p PID, --unit NAME",
        )


def _moved(socket: Socket) -> bool:
    """Whether anything of it was counted: one that ended is listed although it moved nothing."""
    return bool(socket.sent or socket.read or socket.left.bytes or socket.came.bytes or socket.consumed_bytes)
