"""Where payload bytes were copied, and where a copy was avoided, of one socket or of all. Pure."""

from __future__ import annotations

import msgspec

from tracer.books.copies import ciphered_of_read, ciphered_of_sent
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
    unknown, ciphered = subject.sent_by("unknown"), ciphered_of_sent(subject)
    copied = subject.sent_by(*SENT_BY_COPY) - ciphered
    elsewhere = {"in a way that could not be told": unknown, "to a cipher, which may read them in place": ciphered}
    return [
        _copy(Stage.COPY_IN, "sendmsg", calls, copied, elsewhere),
        SocketEntry(stage=Stage.PIN, where="sendmsg", bytes=subject.pinned_bytes, source=calls),
        SocketEntry(stage=Stage.SPLICE, where="sendmsg", bytes=subject.sent_by("splice"), source=calls),
    ]


def _reading(subject: Socket | Totals, calls: str) -> list[SocketEntry]:
    ciphered = ciphered_of_read(subject)
    copied = subject.read_by(*READ_BY_COPY) - ciphered
    return [
        _copy(Stage.COPY_OUT, "recvmsg", calls, copied, {"from a cipher, which may write them in place": ciphered}),
        SocketEntry(stage=Stage.SPLICE, where=SPLICED_OUT, bytes=subject.read_by("splice"), source=calls),
        SocketEntry(stage=Stage.MAP_OUT, where="TCP_ZEROCOPY_RECEIVE", bytes=subject.read_by("mapped"), source=calls),
    ]


def _copy(stage: Stage, where: str, calls: str, copied: int, elsewhere: dict[str, int]) -> SocketEntry:
    """What was copied is not known where some went a way of which nobody saw whether it copies."""
    told = [f"{number:,} B {'more ' if copied else ''}{way}" for way, number in elsewhere.items() if number]
    note = "; ".join([f"at least {copied:,} B", *told] if copied and told else told)
    return SocketEntry(stage=stage, where=where, bytes=None if told else copied, source=calls, note=note)
