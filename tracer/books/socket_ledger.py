"""Where payload bytes were copied, and where a copy was avoided, of one socket or of all. Pure."""

from __future__ import annotations

import msgspec

from tracer.model import Stage
from tracer.model_sockets import Socket, Totals

# Pages mapped to the reader: no stage of a workload of ours.
MAP_OUT = "map_out"


class SocketEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What one stage did to the payload.

    Args:
        bytes: None where nobody observed it, which is not zero.
        source: What saw it.
    """

    stage: str
    where: str
    bytes: int | None
    source: str
    note: str = ""


def ledger_of(subject: Socket | Totals, calls: str) -> list[SocketEntry]:
    """All stages, in the order of the payload's way.

    Args:
        calls: How calls were seen (Hooks.calls).
    """
    return [*_sending(subject, calls), _deferred(subject), *_reading(subject, calls)]


def _of(subject: Socket | Totals, *ways: str) -> int:
    return sum(subject.sent[way].bytes for way in ways if way in subject.sent)


def _sending(subject: Socket | Totals, calls: str) -> list[SocketEntry]:
    unknown = _of(subject, "unknown")
    note = f"{unknown:,} B more in a way that could not be told" if unknown else ""
    copied, pinned = _of(subject, "copy", "zerocopy_ignored"), _of(subject, "zerocopy", "uring_zerocopy")
    return [
        SocketEntry(
            stage=Stage.COPY_IN, where="sendmsg", bytes=None if unknown else copied, source=calls,
            note=f"at least {copied:,} B; {note}" if unknown else "",
        ),
        SocketEntry(stage=Stage.PIN, where="sendmsg", bytes=pinned, source=calls),
        SocketEntry(stage=Stage.SPLICE, where="sendmsg", bytes=_of(subject, "splice"), source=calls),
    ]  # fmt: skip


def _deferred(subject: Socket | Totals) -> SocketEntry:
    if not _of(subject, "zerocopy", "uring_zerocopy"):
        return SocketEntry(stage=Stage.DEFERRED_COPY, where="", bytes=0, source="nothing was pinned")
    if subject.deferred is not None:
        callers = ", ".join(copy.caller for copy in subject.deferred)
        copied = sum(copy.bytes for copy in subject.deferred)
        return SocketEntry(stage=Stage.DEFERRED_COPY, where=callers, bytes=copied, source="skb_copy_ubufs")
    done = subject.completions
    if done is not None and done.total and not done.copied:
        return SocketEntry(stage=Stage.DEFERRED_COPY, where="", bytes=0, source="the kernel's flag")
    note = f"{done.copied:,} of {done.total:,} sends" if done else "no notification was seen"
    return SocketEntry(stage=Stage.DEFERRED_COPY, where="", bytes=None, source="the kernel's flag", note=note)


def _reading(subject: Socket | Totals, calls: str) -> list[SocketEntry]:
    taken = {way: subject.read[way].bytes if way in subject.read else 0 for way in ("copy", "peek", "splice", "mapped")}
    return [
        SocketEntry(stage=Stage.COPY_OUT, where="recvmsg", bytes=taken["copy"] + taken["peek"], source=calls),
        SocketEntry(stage=Stage.SPLICE, where="splice from the socket", bytes=taken["splice"], source=calls),
        SocketEntry(stage=MAP_OUT, where="TCP_ZEROCOPY_RECEIVE", bytes=taken["mapped"], source=calls),
    ]
