"""Conservation laws: sums that must be equal if every byte was located. Pure.

The laws' numbers follow the places on the way; the letter before it says who states the law: F. the function observer,
T. the tracepoint observer, E the engine, A two observers that agree. A law is UNKNOWN where one of its sides was not
observed. What this machine drops may explain a difference, byte for byte, and is then a part of the sum.
"""

from __future__ import annotations

from tracer.books import function_entries as functions
from tracer.books import function_laws, tracepoint_laws
from tracer.books import tracepoint_entries as tracepoints
from tracer.books.equations import law
from tracer.books.tallies import total
from tracer.model import Entry, Law, Observation, Recording, Stage, Workload


def laws_of(recording: Recording) -> list[Law]:
    """All laws that apply to a recording's observed pass."""
    workload = recording.observed
    if workload is None:
        return []
    laws = _engine_laws(workload)
    for observation in recording.observations:
        state = function_laws if observation.observer == "functions" else tracepoint_laws
        laws += state.laws_of(observation, recording.experiment, workload)
    if len(recording.observations) > 1:
        laws += _agreement_laws(recording)
    return laws


def _engine_laws(workload: Workload) -> list[Law]:
    laws = []
    if workload.received_bytes is not None:
        statement = "bytes the receiver read = bytes send calls accepted"
        laws.append(law("E1", statement, workload.received_bytes, workload.payload_bytes))
    if workload.completions is not None:
        statement = "completion notifications = zero-copy send calls"
        note = "in notifications, not bytes"
        laws.append(law("E7", statement, workload.completions.total, workload.sends, note=note))
    return laws


def entries_of(observation: Observation, recording: Recording) -> list[Entry]:
    """One observer's entries, by its own rules."""
    workload, link = recording.observed, recording.experiment.link
    if observation.observer == "functions" or workload is None:
        return functions.entries_from_functions(observation, link, recording.host)
    return tracepoints.entries_from_tracepoints(observation, link, workload, recording.host)


def _agreement_laws(recording: Recording) -> list[Law]:
    """Where two observers know a stage, they agree to the byte."""
    first, second, *_ = (entries_of(one, recording) for one in recording.observations)
    names = " and ".join(observation.observer for observation in recording.observations)
    laws = []
    for stage in Stage:
        left, right = stage_bytes(first, stage), stage_bytes(second, stage)
        if left is not None and right is not None:
            statement = f"{stage.replace('_', ' ')}: the observers {names} agree"
            laws.append(law(f"A {stage}", statement, left, right, reasons="one of them missed a packet"))
    return laws


def stage_bytes(entries: list[Entry], stage: Stage) -> int | None:
    """Bytes of a stage over all its functions; None if there is none or one is unknown."""
    sizes = [entry.bytes for entry in entries if entry.stage is stage]
    return total(*sizes) if sizes else None
