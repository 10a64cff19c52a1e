"""Conservation laws: sums that must be equal if every byte was located. Pure.

L2 to L7 are named after the places on the way; each observer states the ones that it can. A law is UNKNOWN where one of
its sides was not observed.
"""

from __future__ import annotations

from tracer import tracepoint_entries as tracepoints
from tracer.model import Law, LawState, Link, Observation, Recording, Workload
from tracer.tallies import bytes_at, difference, total


def law(identity: str, statement: str, left: int | None, right: int | None, note: str = "") -> Law:
    """A law with its state: UNKNOWN if a side is unknown, else whether both are equal."""
    if left is None or right is None:
        state = LawState.UNKNOWN
    else:
        state = LawState.HOLDS if left == right else LawState.BROKEN
    return Law(id=identity, statement=statement, state=state, left=left, right=right, note=note)


def laws_of(recording: Recording) -> list[Law]:
    """All laws that apply to a recording's observed pass."""
    workload = recording.observed
    if workload is None:
        return []
    laws = _engine_laws(workload)
    for observation in recording.observations:
        laws += _tracepoint_laws(observation, recording.experiment.link, workload)
    return laws


def _tracepoint_laws(observation: Observation, link: Link, workload: Workload) -> list[Law]:
    transmitted = tracepoints.transmitted_bytes(observation)
    retransmitted = tracepoints.retransmitted_bytes(observation)
    laws = [
        law(
            "L2",
            "bytes given to the driver = payload that send calls accepted + retransmitted",
            transmitted,
            total(workload.payload_bytes, retransmitted),
        )
    ]
    if link is Link.NIC:
        return laws
    flagged = bytes_at(observation, f"{tracepoints.XMIT}:zerocopy", f"{tracepoints.XMIT}:mixed")
    arrived = bytes_at(observation, f"{tracepoints.RECEIVE}:zerocopy", f"{tracepoints.RECEIVE}:mixed")
    still_flagged = bytes_at(observation, f"{tracepoints.COPY_OUT}:zerocopy", f"{tracepoints.COPY_OUT}:mixed")
    read = bytes_at(observation, *tracepoints.points(tracepoints.COPY_OUT))
    return [
        *laws,
        law(
            "L3",
            "zero-copy bytes that arrived and were no longer so when read = zero-copy bytes given to the driver",
            difference(arrived, still_flagged),
            flagged,
        ),
        law("L6", "bytes copied to the reader = payload", read, workload.payload_bytes),
    ]


def _engine_laws(workload: Workload) -> list[Law]:
    laws = []
    if workload.received_bytes is not None:
        laws.append(
            law("E1", "bytes the receiver read = bytes send calls accepted", workload.received_bytes,
                workload.payload_bytes)
        )  # fmt: skip
    if workload.completions is not None:
        laws.append(
            law("L7", "completion notifications = zero-copy send calls", workload.completions.total, workload.sends,
                "in notifications, not bytes")
        )  # fmt: skip
    return laws
