"""What the tracepoint observer's tallies say about each stage. Pure.

skb state at four points of the way, and what follows from a difference between two of them:

    send call ──> net_dev_start_xmit ──> netif_receive_skb ──> skb_copy_datagram_iovec ──> reader
                  (driver gets it)       (before TCP)          (copied to the reader)

- in fragments without the zero-copy flag at the driver: copied in by the send call;
- in fragments with it: user pages were pinned;
- in the linear part at the driver: linearized or segmented by copying, for lack of scatter-gather;
- with the flag before TCP and without it at the reader: the deferred copy ran between the two.
Retransmitted bytes pass the driver again without a new copy_from_user or pin, so they are taken off those two.
"""

from __future__ import annotations

from tracer.model import Entry, Link, Observation, Stage
from tracer.tallies import bytes_at, difference, events_at, pages_at

XMIT = "net_dev_start_xmit"
RECEIVE = "netif_receive_skb"
COPY_OUT = "skb_copy_datagram_iovec"
RETRANSMIT = "tcp_retransmit_skb"
STATES = ("copied", "zerocopy", "mixed")


def points(symbol: str) -> list[str]:
    """The probe points of one tracepoint, one a state."""
    return [f"{symbol}:{state}" for state in STATES]


def transmitted_bytes(observation: Observation) -> int | None:
    """Payload that reached a driver, retransmissions included."""
    return bytes_at(observation, *points(XMIT), f"{XMIT}:linear")


def retransmitted_bytes(observation: Observation) -> int | None:
    """Payload that TCP sent again."""
    return bytes_at(observation, *points(RETRANSMIT))


def mixed_bytes(observation: Observation) -> int | None:
    """Payload in skbs that hold copied and pinned bytes together."""
    return bytes_at(observation, f"{XMIT}:mixed")


def entries_from_tracepoints(observation: Observation, link: Link) -> list[Entry]:
    """One entry a stage; ratios are left to the ledger."""
    entries = [_copy_in(observation), _pin(observation), _linearize(observation)]
    if link is Link.NIC:
        return [*entries, _unseen(Stage.DEFERRED_COPY, "skb_copy_ubufs"), _unseen(Stage.BOUNCE, "swiotlb_map")]
    return [*entries, _deferred_copy(observation), _copy_out(observation)]


def _unseen(stage: Stage, function: str) -> Entry:
    return Entry(stage=stage, function=function, source="", bytes=None, note="needs function probes: --lab")


def _first_sent(observation: Observation, state: str) -> int | None:
    """Bytes of one state, sent for the first time; None where skbs hide which bytes are of that state."""
    if mixed_bytes(observation) or bytes_at(observation, f"{XMIT}:linear"):
        return None
    return difference(bytes_at(observation, f"{XMIT}:{state}"), bytes_at(observation, f"{RETRANSMIT}:{state}"))


def _why_hidden(observation: Observation) -> str:
    if mixed_bytes(observation):
        return "skbs mix copied and pinned bytes, and do not tell how many of each"
    if bytes_at(observation, f"{XMIT}:linear"):
        return "the driver got linear skbs, which do not tell where their bytes came from"
    return "inferred from skb state"


def _copy_in(observation: Observation) -> Entry:
    return Entry(
        stage=Stage.COPY_IN,
        function="_copy_from_iter",
        source=f"tracepoint:{XMIT}",
        bytes=_first_sent(observation, "copied"),
        events=events_at(observation, f"{XMIT}:copied"),
        note=_why_hidden(observation),
    )


def _pin(observation: Observation) -> Entry:
    pages = difference(pages_at(observation, f"{XMIT}:zerocopy"), pages_at(observation, f"{RETRANSMIT}:zerocopy"))
    return Entry(
        stage=Stage.PIN,
        function="skb_zerocopy_iter_stream",
        source=f"tracepoint:{XMIT}",
        bytes=_first_sent(observation, "zerocopy"),
        events=events_at(observation, f"{XMIT}:zerocopy"),
        pages=pages if not mixed_bytes(observation) else None,
        note=_why_hidden(observation),
    )


def _linearize(observation: Observation) -> Entry:
    return Entry(
        stage=Stage.LINEARIZE,
        function="skb_segment",
        source=f"tracepoint:{XMIT}",
        bytes=bytes_at(observation, f"{XMIT}:linear"),
        events=events_at(observation, f"{XMIT}:linear"),
        note="payload in the linear part of an skb",
    )


def _deferred_copy(observation: Observation) -> Entry:
    flagged = (f"{RECEIVE}:zerocopy", f"{RECEIVE}:mixed")
    still_flagged = bytes_at(observation, f"{COPY_OUT}:zerocopy", f"{COPY_OUT}:mixed")
    return Entry(
        stage=Stage.DEFERRED_COPY,
        function="skb_copy_ubufs",
        source=f"tracepoint:{RECEIVE}",
        bytes=difference(bytes_at(observation, *flagged), still_flagged),
        events=events_at(observation, *flagged),
        note="zero-copy on arrival, ordinary when read: copied in between",
    )


def _copy_out(observation: Observation) -> Entry:
    return Entry(
        stage=Stage.COPY_OUT,
        function="_copy_to_iter",
        source=f"tracepoint:{COPY_OUT}",
        bytes=bytes_at(observation, *points(COPY_OUT)),
        events=events_at(observation, *points(COPY_OUT)),
    )
