"""The function observer's laws: what each function moved, against its neighbours, TCP's counters and the payload."""

from __future__ import annotations

from tracer.books import drops
from tracer.books import function_entries as functions
from tracer.books.function_rows import Row
from tracer.books.law import bound, copied_as_completed, law, unless_dropped
from tracer.books.tallies import bytes_at, difference, total
from tracer.model import Experiment, Law, Link, Observation, Workload


def function_laws(observation: Observation, experiment: Experiment, workload: Workload) -> list[Law]:
    """Those that the link allows."""
    laws = _send_laws(observation, workload) + _transmit_laws(observation, experiment, workload)
    if experiment.link is Link.NIC:
        return laws + _device_laws(observation, experiment)
    return laws + _receive_laws(observation, workload)


def _send_laws(observation: Observation, workload: Workload) -> list[Law]:
    """Three counts of copy_from_user, each completed by what was not copied, against the payload."""
    payload = workload.payload_bytes
    avoided = total(bytes_at(observation, Row.ZEROCOPY_STREAM), functions.spliced_bytes(observation))
    accepted = total(
        bytes_at(observation, Row.SEND_RETURN),
        bytes_at(observation, Row.SENDPAGES) if Row.SENDPAGES in observation.tallies else 0,
    )
    checked = functions.checked_bytes(observation, functions.CHECK_SEND)
    broken_at = bytes_at(observation, functions.BREAK_IN)
    laws = [
        law("L1", "returned by tcp_sendmsg_locked = payload that send calls accepted", accepted, payload),
        law("L1a", "checked before copy_from_user + pinned + spliced = payload", total(checked, avoided), payload),
        law("L1b", "_copy_from_iter at a breakpoint + pinned + spliced = payload", total(broken_at, avoided), payload),
    ]
    if workload.completions is not None:
        completed = bytes_at(observation, Row.COMPLETION_ZEROCOPY, Row.COMPLETION_COPIED)
        accounted = bytes_at(observation, Row.ACCOUNTED)
        laws.append(law("L7b", "bytes of completed ranges = bytes accounted when they were sent", completed, accounted))
    return laws


def _transmit_laws(observation: Observation, experiment: Experiment, workload: Workload) -> list[Law]:
    transmitted = bytes_at(observation, Row.TRANSMIT)
    seen = drops.dropped_bytes(observation, received=False)
    dropped = seen or 0
    at_driver = bytes_at(observation, Row.XMIT_PAYLOAD)
    sent = total(workload.payload_bytes, functions.retransmitted_bytes(observation))
    linear = bytes_at(observation, Row.SEGMENT_COPY, Row.LINEARIZE, Row.CHECKSUM_COPY)
    copied = bytes_at(observation, Row.COPY_BITS)
    but = " - dropped on this machine" if dropped else ""
    # TCP is told of some local drops, and then sends again without a retransmission.
    as_sent = bound if dropped else law
    pinned = bytes_at(observation, Row.ZEROCOPY_STREAM)
    laws = [
        unless_dropped(law("L2", f"bytes given to the driver = bytes through __tcp_transmit_skb{but}", at_driver,
            difference(transmitted, dropped)), seen),
        law("L2a", "bytes through __tcp_transmit_skb = bytes that TCP handed down (tcpi_bytes_sent)", transmitted,
            workload.bytes_sent),
        unless_dropped(as_sent("L2b", f"bytes through __tcp_transmit_skb {'>=' if dropped else '='} payload + "
            "retransmitted", transmitted, sent), seen),
        law("L4", "skb_copy_bits = segmented + linearized + pulled by the driver", copied,
            total(linear, functions.pulled_bytes(observation))),
        *copied_as_completed(total(linear, bytes_at(observation, Row.COPY_UBUFS)), pinned, workload),
    ]  # fmt: skip
    if not experiment.scatter_gather:
        laws.append(
            law("L4a", "without scatter-gather: segmented + linearized = bytes given to the driver", linear, at_driver)
        )
    return laws


def _device_laws(observation: Observation, experiment: Experiment) -> list[Law]:
    wire = bytes_at(observation, Row.XMIT_WIRE)
    mapped = bytes_at(observation, Row.DMA_WIRE)
    laws = [law("L5", "bytes mapped for the device's DMA = packets given to the driver, headers too", mapped, wire)]
    if experiment.bounce:
        bounced = bytes_at(observation, Row.BOUNCE_WIRE)
        laws.append(law("L5a", "bytes bounced = packets given to the driver, headers too", bounced, wire))
    return laws


def _receive_laws(observation: Observation, workload: Workload) -> list[Law]:
    flagged = bytes_at(observation, Row.XMIT_ZEROCOPY)
    deferred = difference(bytes_at(observation, Row.COPY_UBUFS), functions.copied_for_outgoing_taps(observation))
    payload = workload.payload_bytes
    return [
        law("L3", "deferred copy at reception = zero-copy bytes given to the driver", deferred, flagged),
        law("L6", "copied to the reader = payload", bytes_at(observation, Row.COPY_TO_ITER), payload),
        law("L6a", "returned by tcp_recvmsg_locked = payload", bytes_at(observation, Row.RECEIVE_RETURN),
            payload),
        law("L6b", "checked before copy_to_user = payload",
            functions.checked_bytes(observation, functions.CHECK_RECEIVE), payload),
        law("L6c", "_copy_to_iter at a breakpoint = payload", bytes_at(observation, functions.BREAK_OUT), payload),
    ]  # fmt: skip
