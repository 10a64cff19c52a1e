"""What became of pinned pages after the send call: by the best witness that saw it. Pure.

The function that copies; else the packets at both ends, where both were watched; else the kernel's flag in each
notification, which says that it copied and not how much.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import NamedTuple

from tracer.books.causes import row_of
from tracer.books.endpoints import unmapped
from tracer.books.function_entries import cause_of_caller
from tracer.model import Cause, Link, Recording
from tracer.model.socket_recording import SocketRecording
from tracer.model.sockets import DeferredCopy, Socket, Totals
from tracer.texts import counted

BY_FUNCTION, BY_PACKETS, BY_FLAG = "skb_copy_ubufs", "packets at both ends", "the kernel's flag"


class Later(NamedTuple):
    """Copies of pinned pages.

    Args:
        bytes: None where nobody saw how many; whole packets are copied, what was sent again once more.
        cause: Words for why, with the function that had it copied where that was seen.
        source: The witness.
    """

    bytes: int | None
    cause: str
    source: str
    note: str = ""


class LaterCopies:
    """Of all sockets of a recording."""

    def __init__(self, recording: SocketRecording | Recording) -> None:
        self._recording = recording
        # Of a workload of ours both ends are its own.
        peers = recording.peers if isinstance(recording, SocketRecording) else []
        self._by_ends = {
            (one.netns, one.protocol, unmapped(one.local), unmapped(one.peer)): one
            for one in (*recording.sockets, *peers)
        }

    def of(self, socket: Socket) -> Later:
        """Of one socket."""
        if not socket.pinned_bytes:
            return _NOTHING_PINNED
        if socket.deferred is not None:
            return _counted(socket.deferred, ends_here=self._ends_here(socket))
        return _by_packets(socket, self._other_end(socket)) or _by_flag(socket)

    def in_all(self) -> Later:
        """Of all sockets, listed or not."""
        totals = self._recording.totals
        if totals is None or not totals.pinned_bytes:
            return _NOTHING_PINNED
        if totals.deferred is not None:
            return _counted(totals.deferred, ends_here=self._all_end_here)
        if self._recording.unlisted_sockets:
            return _by_flag(totals)
        return _summed(self.of(one) for one in self._recording.sockets if one.pinned_bytes) or _by_flag(totals)

    def cause_of(self, caller: str) -> Cause:
        """Why a function has pinned pages copied, in all; unknown where it does so for more than one reason."""
        return _cause_of(caller, ends_here=self._all_end_here)

    def named(self, caller: str) -> str:
        """That cause, in words, with the function; one that is not known speaks for itself."""
        return _named(caller, ends_here=self._all_end_here)

    @cached_property
    def _all_end_here(self) -> bool:
        ends = [self._ends_here(one) for one in self._recording.sockets if one.pinned_bytes]
        return bool(ends) and all(ends)

    def _ends_here(self, socket: Socket) -> bool:
        return socket.link == "lo" or bool(socket.peer_pids) or self._other_end(socket) is not None

    def _other_end(self, socket: Socket) -> Socket | None:
        return self._by_ends.get((socket.netns, socket.protocol, unmapped(socket.peer), unmapped(socket.local)))


_NOTHING_PINNED = Later(0, "", "nothing was pinned")


def _counted(copies: list[DeferredCopy], *, ends_here: bool) -> Later:
    causes = dict.fromkeys(_named(copy.caller, ends_here=ends_here) for copy in copies)
    return Later(sum(copy.bytes for copy in copies), " and ".join(causes), BY_FUNCTION)


def _named(caller: str, *, ends_here: bool) -> str:
    function, cause = caller.partition(".")[0], _cause_of(caller, ends_here=ends_here)
    return function if cause is Cause.UNKNOWN else f"{row_of(cause).name} ({function})"


def _cause_of(caller: str, *, ends_here: bool) -> Cause:
    """What comes in is delivered or passed on: that it is the first is seen by who is at the other end."""
    cause = cause_of_caller(caller, Link.LO if ends_here else Link.NIC)
    return Cause.UNKNOWN if cause is Cause.FORWARDING else cause


def _by_packets(sender: Socket, reader: Socket | None) -> Later | None:
    """What left as somebody's pages and came as the kernel's own; only where every byte that left has come.

    A tap's copies are not among these: where the flag says that there were some, and here are none, it is right.
    """
    if reader is None or sender.left.bytes != reader.came.bytes:
        return None
    left, came = (end.zerocopy + end.mixed for end in (sender.left, reader.came))
    if left == came and sender.completions is not None and sender.completions.copied:
        return None
    cause = f"{row_of(Cause.LOCAL_DELIVERY).name} (inferred: both ends are here)" if left > came else ""
    return Later(left - came, cause, BY_PACKETS)


def _by_flag(moved: Socket | Totals) -> Later:
    done = moved.completions
    if done is None or not done.total:
        return Later(None, "", BY_FLAG, "no notification was seen")
    if not done.copied and "uring_zerocopy" in moved.sent:
        return Later(None, "", BY_FLAG, "io_uring tells only with IORING_SEND_ZC_REPORT_USAGE")
    if not done.copied:
        return Later(0, "", BY_FLAG)
    return Later(None, "", BY_FLAG, f"the flag: {done.copied:,} of {counted(done.total, 'send')} copied")


def _summed(parts: Iterable[Later]) -> Later | None:
    """None where there is none, or the bytes of one are not known."""
    found = list(parts)
    if not found or any(one.bytes is None for one in found):
        return None
    causes, sources = dict.fromkeys(one.cause for one in found if one.cause), {one.source for one in found}
    return Later(sum(one.bytes or 0 for one in found), " and ".join(causes), ", ".join(sorted(sources)))
