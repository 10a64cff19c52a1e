"""Conservation laws: sums that must be equal if every byte was located. Pure.

L1 to L8 are named after the places on the way; each observer states the ones that it can, with its letter before
them. A law is UNKNOWN where one of its sides was not observed.
"""

from __future__ import annotations

import msgspec

from tracer.books import function_entries, tracepoint_entries
from tracer.books.datagram_entries import entries_of_datagrams
from tracer.books.drops import Place, dropped_by_sender, dropped_bytes, lost_fragments, lost_on_the_way
from tracer.books.function_laws import function_laws
from tracer.books.function_rows import Row
from tracer.books.law import law, unless
from tracer.books.records import ADDED, RECORDS_OUT, added, enciphered
from tracer.books.row_laws import row_laws
from tracer.books.scene import Scene, scene_of
from tracer.books.tallies import difference, total
from tracer.books.tracepoint_laws import tracepoint_laws
from tracer.model import Entry, Law, LawState, Link, Observation, Recording, Stage, Workload

_LETTERS = {"functions": "F", "tracepoints": "T"}


def laws_of(recording: Recording) -> list[Law]:
    """All laws that apply to a recording's observed pass."""
    workload = recording.observed
    if workload is None:
        return []
    scene = scene_of(recording)
    laws = _engine_laws(workload, recording.observations, scene.link)
    by_socket = bool(recording.sockets)
    for observation in recording.observations:
        letter = _LETTERS[observation.observer]
        laws += [_named(one, letter) for one in _observer_laws(observation, scene, workload, by_socket)]
    calls = recording.hooks.calls if recording.hooks is not None else ""
    laws += [_named(one, "R") for one in row_laws(recording.sockets, calls, scene.link, workload)]
    if len(recording.observations) > 1:
        laws += _agreement_laws(recording.observations, scene, workload)
    lost = any(observation.lost for observation in recording.observations)
    if workload.stopped:
        laws = [_unless_on_the_way(one) for one in laws]
    return [_explained(one, scene.packet_taps or [], lost) for one in laws]


def _observer_laws(observation: Observation, scene: Scene, workload: Workload, by_socket: bool) -> list[Law]:
    if observation.observer == "functions":
        return function_laws(observation, scene, workload)
    return tracepoint_laws(observation, scene, workload, by_socket=by_socket)


def _named(one: Law, letter: str) -> Law:
    return msgspec.structs.replace(one, id=f"{letter}.{one.id}")


def _unless_on_the_way(one: Law) -> Law:
    """A pass that was cut short says nothing of the bytes that were between two places then.

    But of a socket of its own the kernel says how much it had still to send, and the reader to read.
    """
    if one.id.startswith(("R.S", "R.R")):
        return one
    reason = "the pass was cut short: what was on its way then is on one side alone"
    return unless(one, reason, less=None, more=None)


def _explained(one: Law, taps: list[str], lost: bool) -> Law:
    """Of a broken law, what could explain it."""
    if one.state is not LawState.BROKEN:
        return one
    could = ["lost events: the counts are too low"] if lost else []
    if taps and one.id in _COPIED_BY_TAPS:
        could.append(f"who taps the packets ({', '.join(taps)})")
    if one.id in _COPIES_WITNESSED:
        could.append("a copy that no probe point saw")
    if one.id in _ON_THE_WAY:
        could.append("packets that were dropped or duplicated where nobody looks (inside a device, on the wire)")
        could.append("a packet that was still on its way when the pass ended")
    return msgspec.structs.replace(one, explanation=", or ".join(could))


# Laws between whose sides packets travel, those that a copy for a packet socket can upset, and those one side of which
# shows that something was copied.
_ON_THE_WAY = ("E1", "F.L2", "F.L2b", "F.L5", "F.L6", "F.L6a", "T.L2a", "T.L3", "T.L3a", "T.L6")
_COPIED_BY_TAPS = ("F.L3", "A deferred_copy")
_COPIES_WITNESSED = ("F.L4b", "F.L8", "T.L8")


def _engine_laws(workload: Workload, observations: list[Observation], link: Link) -> list[Law]:
    laws = []
    if workload.received_bytes is not None:
        # Whoever listens behind a device has no keys.
        records = f" + {ADDED} B a record" if workload.encrypted and link is Link.NIC else ""
        sent = total(workload.payload_bytes, _enciphered(observations) if records else 0)
        statement = f"bytes the receiver read = bytes send calls accepted{records}"
        read = law("E1", statement, workload.received_bytes, sent)
        laws.append(_unless_lost_or_doubled(read, observations) if workload.datagrams else read)
    if workload.completions is not None:
        statement = "completion notifications = zero-copy send calls"
        laws.append(
            law("L7", statement, workload.completions.total, _asked_sends(workload), "in notifications, not bytes")
        )
    return laws


def _enciphered(observations: list[Observation]) -> int | None:
    """What TLS records have beside the payload, by whoever counted them."""
    counted = [
        enciphered(one, Row.ENCRYPTED) if one.observer == "functions" else added(one, RECORDS_OUT)
        for one in observations
    ]
    return counted[0] if counted else None


def _unless_lost_or_doubled(one: Law, observations: list[Observation]) -> Law:
    """UDP sends nothing again that was dropped, and takes whatever comes twice."""
    for seen in observations:
        by_functions = seen.observer == "functions"
        doubled = function_entries.doubled_bytes(seen) if by_functions else tracepoint_entries.unowned_bytes(seen)
        dropped = None if lost_fragments(seen) else dropped_bytes(seen, *Place)
        reason = "datagrams were dropped or doubled on this machine: UDP sends none again, and takes each that comes"
        one = unless(one, reason, less=dropped or 0, more=doubled or 0)
    return one


def _asked_sends(workload: Workload) -> int:
    """Of a file of before they were counted apart: all."""
    return workload.sends if workload.asked_sends is None else workload.asked_sends


def sent_again(observation: Observation, workload: Workload) -> int | None:
    """Payload that left IP more than once.

    TCP's count of retransmissions, unless packets were dropped on this machine: of such a drop TCP is told, and sends
    the packet as if for the first time. Then all that it handed down beyond the payload.
    """
    if dropped_by_sender(observation):
        return difference(workload.bytes_sent, total(workload.payload_bytes, _added(observation, workload)))
    return workload.retransmitted_bytes


def _added(observation: Observation, workload: Workload) -> int | None:
    """What TLS records have beside the payload."""
    return _enciphered([observation]) if workload.encrypted else 0


def entries_of(
    observation: Observation, link: Link, workload: Workload, qdiscs: list[str] | None = None
) -> list[Entry]:
    """One observer's entries, by its own rules.

    Args:
        qdiscs: As in Host.dropping_qdiscs.
    """
    if observation.observer == "functions":
        return function_entries.entries_from_functions(observation, link, qdiscs, workload)
    if workload.datagrams:
        return entries_of_datagrams(observation, link, qdiscs)
    return tracepoint_entries.entries_from_tracepoints(
        observation, link, sent_again(observation, workload), qdiscs, workload
    )


def _agreement_laws(observations: list[Observation], scene: Scene, workload: Workload) -> list[Law]:
    """Where two observers know a stage, they agree to the byte."""
    first, second, *_ = observations
    laws = []
    for stage in Stage:
        left, right = (_comparable(one, stage, scene.link, workload) for one in (first, second))
        if left is not None and right is not None:
            statement = f"{stage.replace('_', ' ')}: the observers {first.observer} and {second.observer} agree"
            one = law(f"A {stage}", statement, left, right)
            laws.append(_unless_lost(one, first) if stage in _SEEN_ELSEWHERE else one)
    return laws


# Stages that functions count where they happen, and tracepoints further on, by what has arrived.
_SEEN_ELSEWHERE = (Stage.DEFERRED_COPY, Stage.LINEARIZE)


def _unless_lost(one: Law, functions: Observation) -> Law:
    """What was lost or doubled between the places of two observers is with one of them alone."""
    doubled = function_entries.doubled_bytes(functions)
    lost = None if lost_fragments(functions) else lost_on_the_way(functions)
    reason = "packets were dropped or doubled on the way: how many of them had been copied before, nobody knows"
    return unless(one, reason, less=doubled or 0, more=lost)


def _comparable(observation: Observation, stage: Stage, link: Link, workload: Workload) -> int | None:
    """Bytes of a stage as both observers can count them.

    Without copies for outgoing taps, which one of them alone can see; what was made linear, once for each packet.
    """
    found = stage_bytes(entries_of(observation, link, workload), stage)
    if observation.observer == "functions" and stage is Stage.DEFERRED_COPY:
        return difference(found, function_entries.copied_for_outgoing_taps(observation))
    if observation.observer == "functions" and stage is Stage.LINEARIZE:
        return function_entries.linearized_bytes(observation)
    return found


def stage_bytes(entries: list[Entry], stage: Stage) -> int | None:
    """Bytes of a stage over all its functions; None if there is none or one is unknown."""
    sizes = [entry.bytes for entry in entries if entry.stage is stage]
    return total(*sizes) if sizes else None
