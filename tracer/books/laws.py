"""Conservation laws: sums that must be equal if every byte was located. Pure.

L1 to L7 are named after the places on the way; each observer states the ones that it can. A law is UNKNOWN where one of
its sides was not observed.
"""

from __future__ import annotations

from tracer.books import function_entries as functions
from tracer.books import tracepoint_entries as tracepoints
from tracer.books.tallies import bytes_at, total
from tracer.model import Entry, Experiment, Law, LawState, Link, Observation, Recording, Stage, Workload


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
        state = _function_laws if observation.observer == "functions" else _tracepoint_laws
        laws += state(observation, recording.experiment, workload)
    if len(recording.observations) > 1:
        laws += _agreement_laws(recording, workload)
    return laws


def _engine_laws(workload: Workload) -> list[Law]:
    laws = []
    if workload.received_bytes is not None:
        statement = "bytes the receiver read = bytes send calls accepted"
        laws.append(law("E1", statement, workload.received_bytes, workload.payload_bytes))
    if workload.completions is not None:
        statement = "completion notifications = zero-copy send calls"
        laws.append(law("L7", statement, workload.completions.total, workload.sends, "in notifications, not bytes"))
    return laws


def _tracepoint_laws(observation: Observation, experiment: Experiment, workload: Workload) -> list[Law]:
    left_ip = tracepoints.all_bytes(observation, tracepoints.EGRESS)
    sent = total(workload.payload_bytes, workload.retransmitted_bytes)
    laws = [law("L2", "bytes that left IP = payload + retransmitted", left_ip, sent)]
    if experiment.link is Link.NIC:
        at_driver = tracepoints.all_bytes(observation, tracepoints.XMIT)
        return [*laws, law("L3", "bytes given to the driver = bytes that left IP", at_driver, left_ip)]
    arrived = tracepoints.all_bytes(observation, tracepoints.INGRESS)
    read = tracepoints.all_bytes(observation, tracepoints.COPY_OUT)
    return [
        *laws,
        law("L3", "bytes that entered the receiver's TCP = bytes that left IP", arrived, left_ip),
        law("L6", "bytes copied to the reader = payload", read, workload.payload_bytes),
    ]


def _function_laws(observation: Observation, experiment: Experiment, workload: Workload) -> list[Law]:
    laws = _send_laws(observation, workload) + _transmit_laws(observation, experiment, workload)
    if experiment.link is Link.NIC:
        return laws + _device_laws(observation, experiment)
    return laws + _receive_laws(observation, workload)


def _send_laws(observation: Observation, workload: Workload) -> list[Law]:
    """Three counts of copy_from_user, each completed by what was not copied, against the payload."""
    payload = workload.payload_bytes
    avoided = total(bytes_at(observation, "skb_zerocopy_iter_stream:return"), functions.spliced_bytes(observation))
    accepted = total(
        bytes_at(observation, "tcp_sendmsg_locked:return"),
        bytes_at(observation, "do_tcp_sendpages:return") if "do_tcp_sendpages:return" in observation.tallies else 0,
    )
    checked = functions.checked_bytes(observation, functions.CHECK_SEND)
    broken_at = bytes_at(observation, functions.BREAK_IN)
    laws = [
        law("L1", "returned by tcp_sendmsg_locked = payload that send calls accepted", accepted, payload),
        law("L1a", "checked before copy_from_user + pinned + spliced = payload", total(checked, avoided), payload),
        law("L1b", "_copy_from_iter at a breakpoint + pinned + spliced = payload", total(broken_at, avoided), payload),
    ]
    if workload.completions is not None:
        completed = bytes_at(observation, "__msg_zerocopy_callback:zerocopy", "__msg_zerocopy_callback:copied")
        accounted = bytes_at(observation, "mm_account_pinned_pages:entry")
        laws.append(law("L7b", "bytes of completed ranges = bytes accounted when they were sent", completed, accounted))
    return laws


def _transmit_laws(observation: Observation, experiment: Experiment, workload: Workload) -> list[Law]:
    transmitted = bytes_at(observation, "__tcp_transmit_skb:entry")
    at_driver = bytes_at(observation, "net_dev_start_xmit:payload")
    sent = total(workload.payload_bytes, functions.retransmitted_bytes(observation))
    linear = bytes_at(observation, "skb_copy_bits:segment", "__pskb_pull_tail:linearize")
    copied = bytes_at(observation, "skb_copy_bits:entry")
    laws = [
        law("L2", "bytes given to the driver = payload + retransmitted", at_driver, sent),
        law("L2a", "bytes through __tcp_transmit_skb = payload + retransmitted", transmitted, sent),
        law("L4", "skb_copy_bits = segmented + linearized + pulled by the driver", copied,
            total(linear, functions.pulled_bytes(observation))),
    ]  # fmt: skip
    if not experiment.scatter_gather:
        laws.append(
            law("L4a", "without scatter-gather: segmented + linearized = payload + retransmitted", linear, sent)
        )
    return laws


def _device_laws(observation: Observation, experiment: Experiment) -> list[Law]:
    wire = bytes_at(observation, "net_dev_start_xmit:wire")
    mapped = bytes_at(observation, "dma_map_page_attrs:wire")
    laws = [law("L5", "bytes mapped for the device's DMA = packets given to the driver, headers too", mapped, wire)]
    if experiment.bounce:
        bounced = bytes_at(observation, "swiotlb_map:wire")
        laws.append(law("L5a", "bytes bounced = packets given to the driver, headers too", bounced, wire))
    return laws


def _receive_laws(observation: Observation, workload: Workload) -> list[Law]:
    flagged = bytes_at(observation, "net_dev_start_xmit:zerocopy")
    deferred = bytes_at(observation, "skb_copy_ubufs:return")
    payload = workload.payload_bytes
    return [
        law("L3", "deferred copy = zero-copy bytes given to the driver", deferred, flagged),
        law("L6", "copied to the reader = payload", bytes_at(observation, "simple_copy_to_iter:entry"), payload),
        law("L6a", "returned by tcp_recvmsg_locked = payload", bytes_at(observation, "tcp_recvmsg_locked:return"),
            payload),
        law("L6b", "checked before copy_to_user = payload",
            functions.checked_bytes(observation, functions.CHECK_RECEIVE), payload),
        law("L6c", "_copy_to_iter at a breakpoint = payload", bytes_at(observation, functions.BREAK_OUT), payload),
    ]  # fmt: skip


def entries_of(observation: Observation, link: Link, workload: Workload) -> list[Entry]:
    """One observer's entries, by its own rules."""
    if observation.observer == "functions":
        return functions.entries_from_functions(observation, link)
    return tracepoints.entries_from_tracepoints(observation, link, workload.retransmitted_bytes)


def _agreement_laws(recording: Recording, workload: Workload) -> list[Law]:
    """Where two observers know a stage, they agree to the byte."""
    first, second, *_ = (entries_of(one, recording.experiment.link, workload) for one in recording.observations)
    names = " and ".join(observation.observer for observation in recording.observations)
    laws = []
    for stage in Stage:
        left, right = stage_bytes(first, stage), stage_bytes(second, stage)
        if left is not None and right is not None:
            statement = f"{stage.replace('_', ' ')}: the observers {names} agree"
            laws.append(law(f"A {stage}", statement, left, right))
    return laws


def stage_bytes(entries: list[Entry], stage: Stage) -> int | None:
    """Bytes of a stage over all its functions; None if there is none or one is unknown."""
    sizes = [entry.bytes for entry in entries if entry.stage is stage]
    return total(*sizes) if sizes else None
