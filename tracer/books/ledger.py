"""The ledger: which bytes were copied where, from what the observers counted. Pure.

Each observer has its own rules for turning tallies into entries; all of them give the same stages, so that two
observers of one pass can be compared byte by byte.
"""

from __future__ import annotations

import msgspec

from tracer.books import function_entries, tracepoint_entries
from tracer.books.causes import with_cause
from tracer.books.laws import entries_of, laws_of
from tracer.books.scene import scene_of
from tracer.books.tallies import total
from tracer.model import CopiesPerByte, Entry, Law, LawState, Ledger, Link, Observation, Recording, Stage, Workload
from tracer.texts import counted
from tracer.units import format_count

SEND_COPIES = (Stage.COPY_IN, Stage.DEFERRED_COPY, Stage.LINEARIZE, Stage.BOUNCE)


def ledger_of(recording: Recording) -> Ledger:
    """The books of a recording's observed pass.

    Where two observers watched, the first one's entries make the ledger, and a law compares them with the second's.
    """
    workload = recording.observed
    if workload is None or not recording.observations:
        return _empty_ledger(recording)
    first = recording.observations[0]
    qdiscs, scene = recording.host.dropping_qdiscs, scene_of(recording)
    located = located_entries(first, scene.link, workload, qdiscs)
    entries = [*_pack_entries(workload), *(with_cause(entry, scene) for entry in located)]
    if first.observer == "tracepoints" and scene.packet_taps and scene.link is not Link.NIC:
        taps = tracepoint_entries.copy_for_taps(first, scene.packet_taps)
        entries += [_with_ratio(taps, workload.payload_bytes)] if taps.bytes != 0 else []
    laws = laws_of(recording)
    doubts = [breach(law) for law in laws if law.state is LawState.BROKEN]
    doubts += ["the observed pass was cut short"] if workload.stopped else []
    doubts += [_loss(observation) for observation in recording.observations if observation.lost]
    return Ledger(
        entries=entries,
        laws=laws,
        copies_per_byte=copies_of(entries, workload.payload_bytes),
        trustworthy=not doubts,
        doubts=doubts,
        mixed_bytes=_mixed_bytes(first),
        retransmitted_bytes=_retransmitted_bytes(first, workload),
        pulled_bytes=function_entries.pulled_bytes(first) if first.observer == "functions" else None,
        observer=first.observer,
        lost_events=_lost_events(recording.observations),
    )


def breach(law: Law) -> str:
    """A broken law: which side has more, and by how much."""
    more = (law.left or 0) - (law.right or 0)
    unit = "" if "notifications" in law.statement or "not bytes" in law.note else " B"
    told = f"the {'left' if more > 0 else 'right'} side has {format_count(abs(more))}{unit} more"
    return f"law {law.id} is broken: {law.statement} ({told})"


def _retransmitted_bytes(observation: Observation, workload: Workload) -> int | None:
    """What the observer saw; else TCP's own count."""
    seen = function_entries.retransmitted_bytes(observation) if observation.observer == "functions" else None
    return workload.retransmitted_bytes if seen is None else seen


def _mixed_bytes(observation: Observation) -> int | None:
    """None for the function observer: it needs no guess about skbs."""
    return tracepoint_entries.mixed_bytes(observation) if observation.observer == "tracepoints" else None


def located_entries(
    observation: Observation, link: Link, workload: Workload, qdiscs: list[str] | None = None
) -> list[Entry]:
    """One observer's entries, with their ratios to the payload.

    Args:
        qdiscs: As in Host.dropping_qdiscs.
    """
    return [_with_ratio(entry, workload.payload_bytes) for entry in entries_of(observation, link, workload, qdiscs)]


def _empty_ledger(recording: Recording) -> Ledger:
    reason = "nothing was observed" if recording.complete else "interrupted before the observed pass"
    nothing = CopiesPerByte(send=None, receive=None)
    return Ledger(entries=[], laws=[], copies_per_byte=nothing, trustworthy=False, doubts=[reason])


def _lost_events(observations: list[Observation]) -> int | None:
    """Of the observers that can tell."""
    known = [observation.lost for observation in observations if observation.lost is not None]
    return sum(known) if known else None


def _loss(observation: Observation) -> str:
    return f"the {observation.observer} observer lost {counted(observation.lost or 0, 'event')}"


def _pack_entries(workload: Workload) -> list[Entry]:
    if not workload.packed_bytes:
        return []
    pack = Entry(stage=Stage.PACK, function="memcpy in the sender", source="engine", bytes=workload.packed_bytes)
    return [_with_ratio(pack, workload.payload_bytes)]


def _with_ratio(entry: Entry, payload: int) -> Entry:
    if entry.bytes is None or not payload:
        return entry
    return msgspec.structs.replace(entry, per_payload_byte=entry.bytes / payload)


def copies_of(entries: list[Entry], payload: int) -> CopiesPerByte:
    """Kernel copies of one payload byte on each side, a tap's among the sender's."""
    return CopiesPerByte(
        send=_copies([entry for entry in entries if entry.stage in SEND_COPIES], payload),
        receive=_copies([entry for entry in entries if entry.stage is Stage.COPY_OUT], payload),
    )


def _copies(entries: list[Entry], payload: int) -> float | None:
    """Summed in bytes: a sum of ratios would make 1.9999 of two whole copies."""
    sizes = total(*(entry.bytes for entry in entries))
    return sizes / payload if entries and payload and sizes is not None else None
