"""What the tracepoint observer's tallies say about each stage. Pure.

The state of the skbs at three places, and what follows from a difference between two of them:

    send call ──> egress ───> [driver] ──> ingress ───> skb_copy_datagram_iovec ──> reader
                  (leaves IP)              (enters TCP)  (copied to the reader)

- in fragments without the zero-copy flag at egress: copied in by the send call;
- in fragments with it: user pages were pinned;
- with the flag at egress and without it at ingress: the deferred copy ran between the two;
- in the linear part at the driver, or at ingress where no device comes between: linearized or segmented by copying.
Retransmitted bytes pass egress again without a new copy_from_user or pin, so they are taken off those two; how many
they are is TCP's own count (TCP_INFO, tcpi_bytes_retrans).
"""

from __future__ import annotations

from tracer.books.tallies import bytes_at, difference, events_at, pages_at, total
from tracer.model import Entry, Link, Observation, Stage

EGRESS = "cgroup_egress"
INGRESS = "cgroup_ingress"
XMIT = "net_dev_start_xmit"
COPY_OUT = "skb_copy_datagram_iovec"
RETRANSMIT = "tcp_retransmit_skb"
STATES = ("copied", "zerocopy", "mixed", "linear")


def entries_from_tracepoints(observation: Observation, link: Link, retransmitted: int | None) -> list[Entry]:
    """One entry a stage; ratios are left to the ledger."""
    entries = [_copy_in(observation, retransmitted), _pin(observation, retransmitted)]
    if link is Link.NIC:
        return [
            *entries,
            _unseen(Stage.DEFERRED_COPY, "skb_copy_ubufs"),
            _linearize(observation, XMIT),
            _unseen(Stage.BOUNCE, "swiotlb_map"),
        ]
    return [*entries, _deferred_copy(observation), _linearize(observation, INGRESS), _copy_out(observation)]


def all_bytes(observation: Observation, point: str) -> int | None:
    """Payload that passed a point, in whatever state."""
    return bytes_at(observation, *(f"{point}:{state}" for state in STATES))


def flagged_bytes(observation: Observation, point: str) -> int | None:
    """Payload that passed a point in skbs with the zero-copy flag."""
    return bytes_at(observation, f"{point}:zerocopy", f"{point}:mixed")


def mixed_bytes(observation: Observation) -> int | None:
    """Payload in skbs that hold copied and pinned bytes together."""
    return bytes_at(observation, f"{EGRESS}:mixed")


def _unseen(stage: Stage, function: str) -> Entry:
    return Entry(stage=stage, function=function, source="", bytes=None, note="needs function probes")


def _source(point: str) -> str:
    return point.replace("cgroup_", "cgroup:") if point in (EGRESS, INGRESS) else f"tracepoint:{point}"


def _first_sent(observation: Observation, state: str, retransmitted: int | None) -> int | None:
    """Bytes of one state, sent for the first time; None where skbs hide which bytes are of that state."""
    if mixed_bytes(observation) or bytes_at(observation, f"{EGRESS}:linear"):
        return None
    sent = bytes_at(observation, f"{EGRESS}:{state}")
    if sent != all_bytes(observation, EGRESS) and sent:
        # Both kinds were sent: whose the retransmitted bytes are is not known.
        return None if retransmitted else sent
    return difference(sent, retransmitted) if sent else sent


def _why_hidden(observation: Observation) -> str:
    if mixed_bytes(observation):
        return "skbs mix copied and pinned bytes, and do not tell how many of each"
    if bytes_at(observation, f"{EGRESS}:linear"):
        return "linear skbs do not tell where their bytes came from"
    return "inferred from skb state"


def _copy_in(observation: Observation, retransmitted: int | None) -> Entry:
    return Entry(
        stage=Stage.COPY_IN,
        function="_copy_from_iter",
        source=_source(EGRESS),
        bytes=_first_sent(observation, "copied", retransmitted),
        events=events_at(observation, f"{EGRESS}:copied"),
        note=_why_hidden(observation),
    )


def _pin(observation: Observation, retransmitted: int | None) -> Entry:
    return Entry(
        stage=Stage.PIN,
        function="skb_zerocopy_iter_stream",
        source=_source(EGRESS),
        bytes=_first_sent(observation, "zerocopy", retransmitted),
        events=events_at(observation, f"{EGRESS}:zerocopy"),
        pages=_pinned_pages(observation, retransmitted),
        note=_why_hidden(observation),
    )


def _pinned_pages(observation: Observation, retransmitted: int | None) -> int | None:
    """Page references of the skbs when first sent; None where some skbs cannot be told from retransmissions."""
    if mixed_bytes(observation):
        return None
    seen_again = total(*(bytes_at(observation, f"{RETRANSMIT}:{state}") for state in STATES))
    if seen_again != retransmitted:
        return None
    return difference(pages_at(observation, f"{EGRESS}:zerocopy"), pages_at(observation, f"{RETRANSMIT}:zerocopy"))


def _deferred_copy(observation: Observation) -> Entry:
    return Entry(
        stage=Stage.DEFERRED_COPY,
        function="skb_copy_ubufs",
        source=_source(INGRESS),
        bytes=difference(flagged_bytes(observation, EGRESS), flagged_bytes(observation, INGRESS)),
        events=events_at(observation, f"{EGRESS}:zerocopy", f"{EGRESS}:mixed"),
        note="zero-copy when it left, ordinary when it arrived: copied in between",
    )


def _linearize(observation: Observation, point: str) -> Entry:
    return Entry(
        stage=Stage.LINEARIZE,
        function="skb_segment",
        source=_source(point),
        bytes=bytes_at(observation, f"{point}:linear"),
        events=events_at(observation, f"{point}:linear"),
        note="payload in the linear part of an skb",
    )


def _copy_out(observation: Observation) -> Entry:
    return Entry(
        stage=Stage.COPY_OUT,
        function="_copy_to_iter",
        source=_source(COPY_OUT),
        bytes=all_bytes(observation, COPY_OUT),
        events=events_at(observation, *(f"{COPY_OUT}:{state}" for state in STATES)),
    )
