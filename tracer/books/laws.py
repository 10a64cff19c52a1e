"""Conservation laws: sums that must be equal if every byte was located. Pure.

L1 to L8 are named after the places on the way; each observer states the ones that it can, with its letter before
them. A law is UNKNOWN where one of its sides was not observed.
"""

from __future__ import annotations

import msgspec

from tracer.books import function_entries, tracepoint_entries
from tracer.books.drops import dropped_bytes
from tracer.books.function_laws import function_laws
from tracer.books.law import law
from tracer.books.tallies import difference, total
from tracer.books.tracepoint_laws import tracepoint_laws
from tracer.model import Entry, Law, LawState, Link, Observation, Recording, Stage, Workload

_LETTERS = {"functions": "F", "tracepoints": "T"}


def laws_of(recording: Recording) -> list[Law]:
    """All laws that apply to a recording's observed pass."""
    workload = recording.observed
    if workload is None:
        return []
    laws = _engine_laws(workload)
    for observation in recording.observations:
        state = function_laws if observation.observer == "functions" else tracepoint_laws
        letter = _LETTERS[observation.observer]
        laws += [_named(one, letter) for one in state(observation, recording.experiment, workload)]
    if len(recording.observations) > 1:
        laws += _agreement_laws(recording, workload)
    lost = any(observation.lost for observation in recording.observations)
    return [_explained(one, recording.host.packet_taps or [], lost) for one in laws]


def _named(one: Law, letter: str) -> Law:
    return msgspec.structs.replace(one, id=f"{letter}.{one.id}")


def _explained(one: Law, taps: list[str], lost: bool) -> Law:
    """Of a broken law, what could explain it."""
    if one.state is not LawState.BROKEN:
        return one
    could = ["lost events: the counts are too low"] if lost else []
    if taps and one.id in _COPIED_BY_TAPS:
        could.append(f"who taps the packets ({', '.join(taps)})")
    if one.id in _ON_THE_WAY:
        could.append("packets that were dropped or duplicated where nobody looks (inside a device, on the wire)")
        could.append("a packet that was still on its way when the pass ended")
    return msgspec.structs.replace(one, explanation=", or ".join(could))


# Laws between whose sides packets travel, and those that a copy for a packet socket can upset.
_ON_THE_WAY = ("E1", "F.L2", "F.L2b", "F.L5", "F.L6", "F.L6a", "T.L2a", "T.L3", "T.L6")
_COPIED_BY_TAPS = ("F.L3", "A deferred_copy")


def _engine_laws(workload: Workload) -> list[Law]:
    laws = []
    if workload.received_bytes is not None:
        statement = "bytes the receiver read = bytes send calls accepted"
        laws.append(law("E1", statement, workload.received_bytes, workload.payload_bytes))
    if workload.completions is not None:
        statement = "completion notifications = zero-copy send calls"
        laws.append(law("L7", statement, workload.completions.total, workload.sends, "in notifications, not bytes"))
    return laws


def sent_again(observation: Observation, workload: Workload) -> int | None:
    """Payload that left IP more than once.

    TCP's count of retransmissions, unless packets were dropped on this machine: of such a drop TCP is told, and sends
    the packet as if for the first time. Then all that it handed down beyond the payload.
    """
    if dropped_bytes(observation, received=False):
        return difference(workload.bytes_sent, workload.payload_bytes)
    return workload.retransmitted_bytes


def entries_of(observation: Observation, link: Link, workload: Workload) -> list[Entry]:
    """One observer's entries, by its own rules."""
    if observation.observer == "functions":
        return function_entries.entries_from_functions(observation, link)
    return tracepoint_entries.entries_from_tracepoints(observation, link, sent_again(observation, workload))


def _agreement_laws(recording: Recording, workload: Workload) -> list[Law]:
    """Where two observers know a stage, they agree to the byte."""
    names = " and ".join(observation.observer for observation in recording.observations)
    laws = []
    for stage in Stage:
        left, right, *_ = (
            _comparable(one, stage, recording.experiment.link, workload) for one in recording.observations
        )
        if left is not None and right is not None:
            statement = f"{stage.replace('_', ' ')}: the observers {names} agree"
            laws.append(law(f"A {stage}", statement, left, right))
    return laws


def _comparable(observation: Observation, stage: Stage, link: Link, workload: Workload) -> int | None:
    """Bytes of a stage without the copies for outgoing taps, which one of the observers alone can see."""
    found = stage_bytes(entries_of(observation, link, workload), stage)
    if stage is Stage.DEFERRED_COPY and observation.observer == "functions":
        return difference(found, function_entries.copied_for_outgoing_taps(observation))
    return found


def stage_bytes(entries: list[Entry], stage: Stage) -> int | None:
    """Bytes of a stage over all its functions; None if there is none or one is unknown."""
    sizes = [entry.bytes for entry in entries if entry.stage is stage]
    return total(*sizes) if sizes else None
