"""The laws that the function observer can state. Pure."""

from __future__ import annotations

from tracer.books.drops import discarded_after_arrival, dropped_bytes, lost_at_most
from tracer.books.equations import NONE, Slack, at_least, law
from tracer.books.function_entries import (
    checked_bytes,
    copied_in_bytes,
    copied_whole,
    deferred_bytes,
    linear_bytes,
    pulled_bytes,
    retransmitted_bytes,
    splice_row,
    spliced_bytes,
)
from tracer.books.function_rows import Row
from tracer.books.tallies import bytes_at, events_at, total
from tracer.model import Experiment, Law, Link, Observation, Workload

AGAIN = "dropped on this machine and sent again"
DROPPED = "dropped on this machine before"


def twice(observation: Observation) -> Slack:
    """What came twice was thrown away, but for old data that the receiver's backlog had joined to new."""
    return Slack(discarded_after_arrival(observation), "came twice: the receiver threw them away", is_part=True)


def laws_of(observation: Observation, experiment: Experiment, workload: Workload) -> list[Law]:
    """All of them that apply to the experiment."""
    laws = _send_laws(observation, workload) + _transmit_laws(observation, workload) + _linear_laws(observation)
    if workload.completions is not None:
        laws += _completion_laws(observation)
    if not experiment.scatter_gather:
        laws.append(_everything_linear(observation))
    if experiment.link is Link.NIC:
        return laws + _device_laws(observation, experiment)
    return laws + _receive_laws(observation, experiment, workload)


def _send_laws(observation: Observation, workload: Workload) -> list[Law]:
    """Three counts of copy_from_user, each completed by what was not copied, against the payload."""
    payload = workload.payload_bytes
    avoided = total(bytes_at(observation, Row.ZEROCOPY_STREAM), spliced_bytes(observation))
    past_sendmsg = bytes_at(observation, Row.SENDPAGES) if splice_row(observation) is Row.SENDPAGES else 0
    accepted = total(bytes_at(observation, Row.SEND_RETURN), past_sendmsg)
    checked = total(checked_bytes(observation, Row.CHECK_SEND), avoided)
    at_break = total(bytes_at(observation, Row.BREAK_FROM_ITER), avoided)
    return [
        law("F.L1", "returned by tcp_sendmsg_locked = payload that send calls accepted", accepted, payload),
        law("F.L1a", "checked before copy_from_user + pinned + spliced = payload", checked, payload),
        law("F.L1b", "_copy_from_iter at a breakpoint + pinned + spliced = payload", at_break, payload),
    ]


def _transmit_laws(observation: Observation, workload: Workload) -> list[Law]:
    """What TCP sends, by its own counters; a drop that it is told of goes out again and is no retransmission."""
    transmitted, at_driver = bytes_at(observation, Row.TRANSMIT), bytes_at(observation, Row.XMIT_PAYLOAD)
    again = retransmitted_bytes(observation)
    lost = lost_at_most(observation)
    either = Slack(dropped_bytes(observation), "of refused retransmissions")
    return [
        law("F.L2", "bytes that the driver took = bytes through __tcp_transmit_skb", at_driver, transmitted,
            less=Slack(lost, DROPPED), more=twice(observation),
            reasons="a qdisc that drops or duplicates, or a packet on its way when the observer came or went"),
        law("F.L2a", "bytes through __tcp_transmit_skb = payload + retransmitted", transmitted,
            total(workload.payload_bytes, again), more=Slack(lost, AGAIN)),
        law("F.L2b", "retransmitted, by the tracepoint = TCP's own count (tcpi_bytes_retrans)", again,
            workload.retransmitted_bytes, more=either, less=either),
        law("F.L2c", "bytes through __tcp_transmit_skb = TCP's own count (tcpi_bytes_sent)", transmitted,
            workload.sent_bytes),
    ]  # fmt: skip


def _linear_laws(observation: Observation) -> list[Law]:
    """Payload becomes linear by copies alone: TCP puts it into fragments. The driver's skbs are the witnesses."""
    linear, pulled = linear_bytes(observation), pulled_bytes(observation)
    return [
        law("F.L4", "skb_copy_bits = segmented + linearized + pulled by the driver + copied whole",
            bytes_at(observation, Row.COPY_BITS), total(linear, pulled, copied_whole(observation))),
        law("F.L4b", "payload in the linear part at the driver = segmented + linearized",
            bytes_at(observation, Row.XMIT_LINEAR), linear,
            less=Slack(lost_at_most(observation), DROPPED),
            more=Slack(copied_whole(observation), "copied whole"),
            reasons="a copy that no probe point saw"),
    ]  # fmt: skip


def _everything_linear(observation: Observation) -> Law:
    statement = "without scatter-gather: segmented + linearized = bytes through __tcp_transmit_skb"
    lost = Slack(lost_at_most(observation), DROPPED)
    return law("F.L4a", statement, linear_bytes(observation), bytes_at(observation, Row.TRANSMIT), less=lost)


def _completion_laws(observation: Observation) -> list[Law]:
    """The kernel's own word, as a bound from below: where it says "copied", something was."""
    completed = bytes_at(observation, Row.COMPLETION_ZEROCOPY, Row.COMPLETION_COPIED)
    accounted = bytes_at(observation, Row.ACCOUNTED)
    copies = total(
        events_at(observation, Row.COPY_UBUFS, Row.SEGMENT_COPY, Row.LINEARIZE, Row.LINEARIZE_CHECKSUM),
        copied_in_bytes(observation),
    )
    statement = "ranges that their completion calls copied: each has a copy behind it"
    return [
        law("F.L7b", "bytes of completed ranges = bytes accounted when they were sent", completed, accounted),
        at_least("F.L8", statement, events_at(observation, Row.COMPLETION_COPIED), copies, "in ranges, not bytes"),
    ]


def _device_laws(observation: Observation, experiment: Experiment) -> list[Law]:
    wire = bytes_at(observation, Row.XMIT_WIRE)
    reasons = "a driver that maps on another CPU, or passes headers on without a mapping"
    statement = "bytes mapped for the device's DMA = packets given to the driver, headers too"
    laws = [law("F.L5", statement, bytes_at(observation, Row.DMA_WIRE), wire, reasons=reasons)]
    if experiment.bounce:
        statement = "bytes bounced = packets given to the driver, headers too"
        laws.append(law("F.L5a", statement, bytes_at(observation, Row.BOUNCE_WIRE), wire, reasons=reasons))
    return laws


def _receive_laws(observation: Observation, experiment: Experiment, workload: Workload) -> list[Law]:
    payload, spliced = workload.payload_bytes, bytes_at(observation, Row.SPLICE_BITS)
    returned = total(bytes_at(observation, Row.RECEIVE_RETURN), bytes_at(observation, Row.SPLICE_READ))
    copied = total(bytes_at(observation, Row.COPY_TO_ITER), spliced)
    checked = total(checked_bytes(observation, Row.CHECK_RECEIVE), spliced)
    at_break = total(bytes_at(observation, Row.BREAK_TO_ITER), spliced)
    return [
        _delivery_law(observation, experiment),
        law("F.L6", "copied to the reader + spliced to a pipe = payload", copied, payload),
        law("F.L6a", "returned by tcp_recvmsg_locked + tcp_splice_read = payload", returned, payload),
        law("F.L6b", "checked before copy_to_user + spliced to a pipe = payload", checked, payload),
        law("F.L6c", "_copy_to_iter at a breakpoint + spliced to a pipe = payload", at_break, payload),
    ]


def _delivery_law(observation: Observation, experiment: Experiment) -> Law:
    """Packet taps have copies of their own, and are counted apart."""
    delivered = deferred_bytes(observation, experiment.link, tapped=False)
    flagged = bytes_at(observation, Row.XMIT_ZEROCOPY)
    statement = "deferred copy on delivery = zero-copy bytes given to the driver"
    less = Slack(lost_at_most(observation), DROPPED) if flagged else NONE
    more = twice(observation) if flagged else NONE
    reasons = "a packet on its way when the observer came or went"
    return law("F.L3", statement, delivered, flagged, less=less, more=more, reasons=reasons)
