"""Where payload bytes were copied, and where a copy was avoided, of one socket or of all. Pure."""

from __future__ import annotations

import msgspec

from tracer.books.later_copies import Later
from tracer.model import Stage
from tracer.model.sockets import READ_BY_COPY, SENT_BY_COPY, Socket, Totals

SPLICED_OUT = "splice from the socket"


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


def ledger_of(subject: Socket | Totals, calls: str, later: Later) -> list[SocketEntry]:
    """All stages, in the order of the payload's way.

    Args:
        calls: How calls were seen (Hooks.calls).
        later: What became of pinned pages.
    """
    deferred = SocketEntry(
        stage=Stage.DEFERRED_COPY, where=later.cause, bytes=later.bytes, source=later.source, note=later.note
    )
    return [*_sending(subject, calls), deferred, *_reading(subject, calls)]


def _sending(subject: Socket | Totals, calls: str) -> list[SocketEntry]:
    unknown = subject.sent_by("unknown")
    note = f"{unknown:,} B more in a way that could not be told" if unknown else ""
    copied = subject.sent_by(*SENT_BY_COPY)
    return [
        SocketEntry(
            stage=Stage.COPY_IN, where="sendmsg", bytes=None if unknown else copied, source=calls,
            note=f"at least {copied:,} B; {note}" if unknown else "",
        ),
        SocketEntry(stage=Stage.PIN, where="sendmsg", bytes=subject.pinned_bytes, source=calls),
        SocketEntry(stage=Stage.SPLICE, where="sendmsg", bytes=subject.sent_by("splice"), source=calls),
    ]  # fmt: skip


def _reading(subject: Socket | Totals, calls: str) -> list[SocketEntry]:
    return [
        SocketEntry(stage=Stage.COPY_OUT, where="recvmsg", bytes=subject.read_by(*READ_BY_COPY), source=calls),
        SocketEntry(stage=Stage.SPLICE, where=SPLICED_OUT, bytes=subject.read_by("splice"), source=calls),
        SocketEntry(stage=Stage.MAP_OUT, where="TCP_ZEROCOPY_RECEIVE", bytes=subject.read_by("mapped"), source=calls),
    ]
