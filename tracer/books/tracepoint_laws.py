"""The laws that the tracepoint observer can state. Pure."""

from __future__ import annotations

from tracer.books.drops import lost_at_most, lost_before_arrival, lost_with_fragments
from tracer.books.equations import Slack, law
from tracer.books.function_laws import AGAIN, DROPPED, twice
from tracer.books.tallies import total
from tracer.books.tracepoint_entries import all_bytes
from tracer.books.tracepoint_points import Point
from tracer.model import Experiment, Law, Link, Observation, Workload

_UNSEEN = "a packet on its way when the observer came or went"


def laws_of(observation: Observation, experiment: Experiment, workload: Workload) -> list[Law]:
    """All of them that apply to the experiment."""
    left_ip, lost = all_bytes(observation, Point.EGRESS), lost_at_most(observation)
    sent = total(workload.payload_bytes, workload.retransmitted_bytes)
    laws = [
        law("T.L2", "bytes that left IP = payload + retransmitted", left_ip, sent, more=Slack(lost, AGAIN),
            reasons="a local drop that TCP was told of and nobody saw, or " + _UNSEEN),
        law("T.L2a", "bytes that left IP = TCP's own count (tcpi_bytes_sent)", left_ip, workload.sent_bytes),
    ]  # fmt: skip
    if experiment.link is Link.NIC:
        at_driver = all_bytes(observation, Point.XMIT)
        statement = "bytes given to the driver = bytes that left IP"
        return [*laws, law("T.L3", statement, at_driver, left_ip, less=Slack(lost, DROPPED), reasons=_UNSEEN)]
    read = all_bytes(observation, Point.COPY_OUT)
    return [
        *laws,
        _arrival_law(observation, left_ip),
        law("T.L6", "bytes copied to the reader = payload", read, workload.payload_bytes),
    ]


def _arrival_law(observation: Observation, left_ip: int | None) -> Law:
    lost = lost_before_arrival(observation)
    statement = "bytes that entered the receiver's TCP + dropped on the way = bytes that left IP"
    arrived = total(all_bytes(observation, Point.INGRESS), lost or 0)
    fragments = Slack(lost_with_fragments(observation), "of packets that lost a fragment")
    reasons = _UNSEEN if lost is not None else f"drops on this machine, which nobody counted, or {_UNSEEN}"
    return law("T.L3", statement, arrived, left_ip, more=twice(observation), less=fragments, reasons=reasons)
