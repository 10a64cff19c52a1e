"""The ledger: which bytes were copied where, from what the observers counted. Pure.

Each observer has its own rules for turning tallies into entries; all of them give the same stages, so that two
observers of one pass can be compared byte by byte.
"""

from __future__ import annotations

import msgspec

from tracer.books import function_entries, tracepoint_entries
from tracer.books.laws import entries_of, laws_of
from tracer.model import CopiesPerByte, Entry, LawState, Ledger, Observation, Recording, Stage, Workload

SEND_COPIES = (Stage.COPY_IN, Stage.DEFERRED_COPY, Stage.LINEARIZE, Stage.BOUNCE)


def ledger_of(recording: Recording) -> Ledger:
    """The books of a recording's observed pass.

    Where two observers watched, the first one's entries make the ledger, and a law compares them with the second's.
    """
    workload = recording.observed
    if workload is None or not recording.observations:
        return _empty_ledger(recording)
    first = recording.observations[0]
    entries = [*_pack_entries(workload), *located_entries(first, recording, workload)]
    laws = laws_of(recording)
    doubts = [f"law {law.id} is broken: {law.statement}" for law in laws if law.state is LawState.BROKEN]
    doubts += [_loss(observation) for observation in recording.observations if observation.lost]
    return Ledger(
        entries=entries,
        laws=laws,
        copies_per_byte=_copies_per_byte(entries),
        trustworthy=not doubts,
        doubts=doubts,
        mixed_bytes=_mixed_bytes(first),
        retransmitted_bytes=_retransmitted_bytes(first, workload),
        pulled_bytes=function_entries.pulled_bytes(first),
    )


def _retransmitted_bytes(observation: Observation, workload: Workload) -> int | None:
    """What the observer saw; else TCP's own count."""
    seen = function_entries.retransmitted_bytes(observation) if observation.observer == "functions" else None
    return workload.retransmitted_bytes if seen is None else seen


def _mixed_bytes(observation: Observation) -> int | None:
    """None for the function observer: it needs no guess about skbs."""
    return tracepoint_entries.mixed_bytes(observation) if observation.observer == "tracepoints" else None


def located_entries(observation: Observation, recording: Recording, workload: Workload) -> list[Entry]:
    """One observer's entries, with their ratios to the payload."""
    return [_with_ratio(entry, workload.payload_bytes) for entry in entries_of(observation, recording)]


def _empty_ledger(recording: Recording) -> Ledger:
    reason = "nothing was observed" if recording.complete else "interrupted before the observed pass"
    nothing = CopiesPerByte(send=None, receive=None)
    return Ledger(entries=[], laws=[], copies_per_byte=nothing, trustworthy=False, doubts=[reason])


def _loss(observation: Observation) -> str:
    return f"the {observation.observer} observer lost {observation.lost} events"


def _pack_entries(workload: Workload) -> list[Entry]:
    if not workload.packed_bytes:
        return []
    pack = Entry(stage=Stage.PACK, function="memcpy in the sender", source="engine", bytes=workload.packed_bytes)
    return [_with_ratio(pack, workload.payload_bytes)]


def _with_ratio(entry: Entry, payload: int) -> Entry:
    if entry.bytes is None or not payload:
        return entry
    return msgspec.structs.replace(entry, per_payload_byte=entry.bytes / payload)


def _copies_per_byte(entries: list[Entry]) -> CopiesPerByte:
    return CopiesPerByte(
        send=_sum_ratios([entry for entry in entries if entry.stage in SEND_COPIES]),
        receive=_sum_ratios([entry for entry in entries if entry.stage is Stage.COPY_OUT]),
    )


def _sum_ratios(entries: list[Entry]) -> float | None:
    ratios = [entry.per_payload_byte for entry in entries if entry.per_payload_byte is not None]
    return sum(ratios) if entries and len(ratios) == len(entries) else None
