"""The way of the bytes that a program sent, and of those that it read: the ledger's entries as steps."""

from __future__ import annotations

from tracer.books.later_copies import LaterCopies
from tracer.books.socket_ledger import SocketEntry, ledger_of
from tracer.books.steps import step_of
from tracer.model import Stage
from tracer.model.socket_recording import SocketRecording
from tracer.reports.picture import SKB, WORDS, Leg

PROGRAM = "program's memory"
_ON_ITS_WAY, _ARRIVED = "left IP", "came from IP"
_READ_WORDS: dict[str, str] = {
    Stage.COPY_OUT: step_of("copy-out").what,
    Stage.SPLICE: step_of("splice-out").what,
    Stage.MAP_OUT: step_of("map-out").what,
}


def sending_legs(recording: SocketRecording) -> list[Leg]:
    """From the program to what left IP; none where it sent nothing."""
    entries = _entries(recording)
    later = next(at for at, entry in enumerate(entries) if entry.stage == Stage.DEFERRED_COPY)
    sent = recording.totals.sent_bytes
    legs = [_leg(entry, WORDS[Stage(entry.stage)], sent, PROGRAM, SKB) for entry in entries[:later] if entry.bytes != 0]
    if legs and entries[later].bytes != 0:
        cause = entries[later].where
        words = WORDS[Stage.DEFERRED_COPY] + (f" ({cause})" if cause else "")
        legs.append(_leg(entries[later], words, sent, SKB, _ON_ITS_WAY)._replace(where=entries[later].source))
    return legs if sent else []


def reading_legs(recording: SocketRecording) -> list[Leg]:
    """From the socket to the program; none where it read nothing."""
    entries, read = _entries(recording), recording.totals.read_bytes
    later = next(at for at, entry in enumerate(entries) if entry.stage == Stage.DEFERRED_COPY)
    return [
        _leg(entry, _READ_WORDS[entry.stage], read, f"{SKB}, {_ARRIVED}", PROGRAM)
        for entry in entries[later + 1 :]
        if entry.bytes != 0 and read
    ]


def _entries(recording: SocketRecording) -> list[SocketEntry]:
    return ledger_of(recording.totals, recording.hooks.calls, LaterCopies(recording).in_all())


def _leg(entry: SocketEntry, words: str, whole: int, origin: str, place: str) -> Leg:
    share = entry.bytes / whole if entry.bytes is not None and whole else None
    return Leg(str(entry.stage), origin, place, words, entry.bytes, share, entry.where)
