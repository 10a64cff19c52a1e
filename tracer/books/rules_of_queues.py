"""Rules about the notifications of zero-copy sends: whether somebody takes them, and how. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from tracer.books.finding import Figures, Rule
from tracer.model.socket_recording import SocketRecording
from tracer.model.sockets import Completions, Socket
from tracer.texts import counted

# Fewer sends are no habit.
FEW = 16


def _by_queue(recording: SocketRecording) -> Iterator[tuple[Socket, Completions, int]]:
    """Sockets with an error queue, their notifications, and how many of these nobody took."""
    for socket in recording.sockets:
        done = socket.completions
        if done is not None and done.reaped is not None and done.total >= FEW:
            yield socket, done, done.total - done.reaped


def _never_read(recording: SocketRecording) -> Iterator[Figures]:
    """TCP is asked too: who reads the queue by a call that is not watched leaves nothing in it."""
    found = [
        (socket, backlog) for socket, done, backlog in _by_queue(recording)
        if not done.reaped and socket.tcp is not None and socket.tcp.error_queue
    ]  # fmt: skip
    if found:
        yield {"backlog": sum(backlog for _, backlog in found), **_refusals([socket for socket, _ in found])}


def _fell_behind(recording: SocketRecording) -> Iterator[Figures]:
    found = [
        (socket, done, backlog) for socket, done, backlog in _by_queue(recording)
        if done.reaped and 4 * backlog >= done.total and socket.tcp is not None and socket.tcp.error_queue
    ]  # fmt: skip
    if found:
        yield {
            "backlog": sum(backlog for _, _, backlog in found),
            "total": sum(done.total for _, done, _ in found),
            **_refusals([socket for socket, _, _ in found]),
        }


def _refusals(sockets: list[Socket]) -> Figures:
    """What the backlog has led to."""
    refused = sum(socket.refused.enobufs for socket in sockets)
    first = min((one.refused.enobufs_after for one in sockets if one.refused.enobufs_after is not None), default=0)
    were = "was" if refused == 1 else "were"
    told = f"; {counted(refused, 'send')} {were} refused with ENOBUFS, the first after {counted(first, 'send')}"
    return {"enobufs": refused, "first_enobufs": first, "sockets": len(sockets), "refusals": told if refused else ""}


def _one_by_one(recording: SocketRecording) -> Iterator[Figures]:
    """Taken in nearly as many reads as there were sends."""
    found = [done for _, done, _ in _by_queue(recording) if (done.reaped or 0) >= FEW]
    reaped, reads = sum(done.reaped or 0 for done in found), sum(done.ranges or 0 for done in found)
    if reads and reaped < 1.5 * reads:
        yield {"reaped": reaped, "reads": reads}


def _in_lockstep(recording: SocketRecording) -> Iterator[Figures]:
    """One send is outstanding at most, each notification is taken by itself, and 1 ms or more lie between sends."""
    found = [
        (socket, done) for socket, done, backlog in _by_queue(recording)
        if done.most_outstanding in (0, 1) and done.ranges == done.reaped and not backlog
        and 1000 * (socket.last_s - socket.first_s) >= done.total
    ]  # fmt: skip
    if found:
        sends = sum(done.total for _, done in found)
        spent_s = sum(socket.last_s - socket.first_s for socket, _ in found)
        yield {"sends": sends, "apart_us": round(1e6 * spent_s / sends), "apart": f"{1e3 * spent_s / sends:.1f} ms"}


def _enobufs(recording: SocketRecording) -> Iterator[Figures]:
    refused = recording.totals.refused
    if refused.enobufs:
        limit = refused.limit
        yield {
            "calls": refused.enobufs,
            "refused": f"{counted(refused.enobufs, 'send call')} {'was' if refused.enobufs == 1 else 'were'} refused",
            "why": f"most likely {limit} (inferred){_of_it(recording)}" if limit else "the kernel was out of buffers",
            "fix": "read the error queue sooner, or raise net.core.optmem_max" if limit else "",
        }


def _of_it(recording: SocketRecording) -> str:
    taken = recording.hooks.optmem_bytes
    return "" if taken is None else f"; watching takes {taken:,} B of it from each socket: unwatched, it comes later"


RULES = (
    Rule(
        "queue-never-read",
        _never_read,
        sentence="the error queue was not read: {backlog:,} notifications were left{refusals}",
        why="each holds socket memory (net.core.optmem_max), and its buffer cannot be used again while it is not read",
        fix="when poll says POLLERR, recvmsg(MSG_ERRQUEUE) until EAGAIN",
    ),
    Rule(
        "queue-behind",
        _fell_behind,
        sentence="the error queue was read too little: {backlog:,} of {total:,} notifications were left{refusals}",
        why="each drain took fewer than had come since the one before",
        fix="when poll says POLLERR, recvmsg(MSG_ERRQUEUE) until EAGAIN",
    ),
    Rule(
        "one-by-one",
        _one_by_one,
        sentence="{reaped:,} notifications were taken by {reads:,} reads of the error queue: one a read",
        why="each read is a system call; the kernel joins notifications that wait in the queue into one",
        fix="let more sends be outstanding, and read the queue once for many of them, until EAGAIN",
    ),
    Rule(
        "lockstep",
        _in_lockstep,
        sentence="{sends:,} zero-copy sends went out one by one, {apart} apart, each after the last one's notification",
        why="probably the program sleeps, or waits for each notification, before it sends again",
        fix="wait by poll (POLLOUT, POLLERR) and not by a sleep, and let more sends be outstanding",
    ),
    Rule(
        "enobufs",
        _enobufs,
        sentence="{refused} with ENOBUFS",
        why="{why}",
        fix="{fix}",
    ),
)  # fmt: skip
