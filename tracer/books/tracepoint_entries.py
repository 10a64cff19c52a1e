"""What the tracepoint observer's tallies say about each stage. Pure.

The state of the skbs at three places, and what follows from a difference between two of them:

    send call ──> egress ───> [driver] ──> ingress ───> skb_copy_datagram_iovec ──> reader
                  (leaves IP)              (enters TCP)  (copied to the reader)

- in fragments without the zero-copy flag at egress: copied in by the send call;
- in fragments with it: user pages were pinned;
- with the flag at egress and without it at ingress: the deferred copy ran between the two;
- in the linear part at the driver, or at ingress where no device comes between: linearized or segmented by copying.
Retransmitted bytes pass egress again without a new copy_from_user or pin, so they are taken off those two; how many
they are is TCP's own count (TCP_INFO, tcpi_bytes_retrans). Which packets they are, sequence numbers tell.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from tracer.books.drops import dropped_by_sender, entries_of_drops, lost_on_the_way
from tracer.books.receiving import UNCOPIED, taken_in
from tracer.books.records import RECORDS_IN, RECORDS_OUT, added
from tracer.books.tallies import bytes_at, difference, events_at, pages_at, total
from tracer.books.tracepoint_rows import Point, SkbState, spliced_name, tally_name
from tracer.model import Cause, Entry, Link, Observation, Stage, Workload


def entries_from_tracepoints(
    observation: Observation, link: Link, retransmitted: int | None, qdiscs: list[str] | None, workload: Workload
) -> list[Entry]:
    """One entry a stage; ratios are left to the ledger.

    Args:
        qdiscs: As in Host.dropping_qdiscs.
        workload: What the engine knows of bytes that packets do not tell apart.
    """
    if workload.encrypted:
        return _of_records(observation, link, retransmitted, qdiscs)
    entries = [_copy_in(observation, retransmitted), _pin(observation, retransmitted)]
    if mixed_bytes(observation) and workload.asked_bytes is not None:
        entries = [*_as_asked(entries, workload.payload_bytes, workload.asked_bytes)]
    if (spliced := bytes_at(observation, spliced_name(Point.EGRESS))) is not None:
        entries.append(_splice(observation, spliced, retransmitted))
    if link is Link.NIC:
        drops = entries_of_drops(observation, qdiscs)
        return [*entries, *unseen_at_nic(_linearize(observation, Point.XMIT)), *drops]
    arrived = [deferred_copy(observation), _linearize(observation, Point.INGRESS), _copy_out(observation)]
    return [*entries, *arrived, *_uncopied(workload), *entries_of_drops(observation, qdiscs)]


def _of_records(
    observation: Observation, link: Link, retransmitted: int | None, qdiscs: list[str] | None
) -> list[Entry]:
    """Packets are of pages that the cipher wrote: they do not tell how it was given the payload.

    Where some came twice, or not at all, it is not known either what was decrypted.
    """
    left = difference(all_bytes(observation, Point.EGRESS), retransmitted)
    came = all_bytes(observation, Point.INGRESS)
    entries = [
        _unseen(Stage.COPY_IN, "_copy_from_iter"),
        _unseen(Stage.PIN, "sk_msg_zerocopy_from_iter"),
        _ciphered(observation, Stage.ENCRYPT, Point.EGRESS, difference(left, added(observation, RECORDS_OUT))),
    ]
    drops = entries_of_drops(observation, qdiscs)
    if link is Link.NIC:
        return [*entries, *unseen_at_nic(_linearize(observation, Point.XMIT)), *drops]
    return [
        *entries,
        deferred_copy(observation),
        _linearize(observation, Point.INGRESS),
        _ciphered(
            observation,
            Stage.DECRYPT,
            Point.INGRESS,
            difference(came, added(observation, RECORDS_IN)) if came == left else None,
        ),
        _unseen(Stage.COPY_OUT, "_copy_to_iter"),
        *drops,
    ]


_CIPHERS = {
    Stage.ENCRYPT: ("crypto_aead_encrypt", RECORDS_OUT),
    Stage.DECRYPT: ("crypto_aead_decrypt", RECORDS_IN),
}


def _ciphered(observation: Observation, stage: Stage, point: Point, size: int | None) -> Entry:
    function, records = _CIPHERS[stage]
    return Entry(
        stage=stage,
        function=function,
        source=source_of(point),
        bytes=size,
        events=events_at(observation, records),
        note="records, less what these have beside the payload" if size is not None else "packets came twice, or never",
    )


def unseen_at_nic(linearize: Entry) -> list[Entry]:
    """What follows the driver's own place: of two of the stages there only functions could tell."""
    return [_unseen(Stage.DEFERRED_COPY, "skb_copy_ubufs"), linearize, _unseen(Stage.BOUNCE, "swiotlb_map")]


def copy_for_taps(observation: Observation, taps: list[str]) -> Entry:
    """What taps cost: pinned pages are copied before it gets the clone of a packet, once for all taps.

    Nothing that is counted here shows it: it is inferred from who taps (dev_queue_xmit_nit(),
    net/core/dev.c).
    """
    return Entry(
        stage=Stage.DEFERRED_COPY,
        function="skb_copy_ubufs",
        source="/proc/net/packet",
        bytes=_flagged_that_went_on(observation),
        cause=Cause.PACKET_TAP,
        cause_inferred_from=", ".join(taps),
        note="inferred: not seen by tracepoints",
    )


def _flagged_that_went_on(observation: Observation) -> int | None:
    """Flagged payload that left IP and was not dropped before the device; None where some was, of several kinds."""
    flagged, dropped = flagged_bytes(observation, Point.EGRESS), dropped_by_sender(observation) or 0
    if dropped and flagged and flagged != all_bytes(observation, Point.EGRESS):
        return None
    return difference(flagged, dropped)


def deferred_bytes(observation: Observation) -> int | None:
    """Flagged when it left IP, plain when it entered TCP: copied in between, but for what arrived linear.

    If all that left was flagged, all that arrived plain was copied, doubles too. None where packets of several kinds
    left and some of them were dropped, doubled or made linear: of which kind is not known.
    """
    flagged, left = flagged_bytes(observation, Point.EGRESS), all_bytes(observation, Point.EGRESS)
    if flagged == left and flagged:
        return bytes_at(observation, tally_name(Point.INGRESS, SkbState.COPIED))
    if flagged and (
        lost_on_the_way(observation) or unowned_bytes(observation) or linear_bytes(observation, Point.INGRESS)
    ):
        return None
    return difference(flagged, flagged_bytes(observation, Point.INGRESS))


def unowned_bytes(observation: Observation) -> int | None:
    """Payload that came to the driver in packets without a socket; None in a recording of before they were counted."""
    return all_bytes(observation, Point.XMIT_UNOWNED)


def linear_bytes(observation: Observation, point: Point) -> int | None:
    """Payload that passed a point in the linear part of packets, of those too that had lost their socket."""
    unowned = tally_name(Point.XMIT_UNOWNED, SkbState.LINEAR)
    here = bytes_at(observation, tally_name(point, SkbState.LINEAR))
    return total(here, bytes_at(observation, unowned) or 0) if point is Point.XMIT else here


def all_bytes(observation: Observation, point: Point) -> int | None:
    """Payload that passed a point, in whatever state."""
    spliced = bytes_at(observation, spliced_name(point)) or 0
    return total(bytes_at(observation, *(tally_name(point, state) for state in SkbState)), spliced)


def flagged_bytes(observation: Observation, point: Point) -> int | None:
    """Payload that passed a point in skbs with the zero-copy flag."""
    return bytes_at(observation, *_flagged(point))


def _flagged(point: Point) -> tuple[str, str]:
    """The tallies of packets with the zero-copy flag."""
    return tally_name(point, SkbState.ZEROCOPY), tally_name(point, SkbState.MIXED)


def mixed_bytes(observation: Observation) -> int | None:
    """Payload in skbs that hold copied and pinned bytes together."""
    return bytes_at(observation, tally_name(Point.EGRESS, SkbState.MIXED))


def _unseen(stage: Stage, function: str) -> Entry:
    return Entry(stage=stage, function=function, source="", bytes=None, note="needs function probes")


def source_of(point: Point) -> str:
    """What looks there."""
    return point.replace("cgroup_", "cgroup:") if point in (Point.EGRESS, Point.INGRESS) else f"tracepoint:{point}"


def _first_sent(observation: Observation, state: SkbState, retransmitted: int | None) -> int | None:
    """Bytes of one state, sent for the first time; None where skbs hide which bytes are of that state."""
    if mixed_bytes(observation) or bytes_at(observation, tally_name(Point.EGRESS, SkbState.LINEAR)):
        return None
    sent = bytes_at(observation, tally_name(Point.EGRESS, state))
    if sent != all_bytes(observation, Point.EGRESS) and sent:
        # Both kinds were sent: whose the retransmitted bytes are is not known.
        return None if retransmitted else sent
    return difference(sent, retransmitted) if sent else sent


def _why_hidden(observation: Observation) -> str:
    if mixed_bytes(observation):
        return "skbs mix copied and pinned bytes, and do not tell how many of each"
    if bytes_at(observation, tally_name(Point.EGRESS, SkbState.LINEAR)):
        return "linear skbs do not tell where their bytes came from"
    return "inferred from skb state"


def _copy_in(observation: Observation, retransmitted: int | None) -> Entry:
    return Entry(
        stage=Stage.COPY_IN,
        function="_copy_from_iter",
        source=source_of(Point.EGRESS),
        bytes=_first_sent(observation, SkbState.COPIED, retransmitted),
        events=events_at(observation, tally_name(Point.EGRESS, SkbState.COPIED)),
        note=_why_hidden(observation),
    )


def _pin(observation: Observation, retransmitted: int | None) -> Entry:
    return Entry(
        stage=Stage.PIN,
        function="skb_zerocopy_iter_stream",
        source=source_of(Point.EGRESS),
        bytes=_first_sent(observation, SkbState.ZEROCOPY, retransmitted),
        events=events_at(observation, tally_name(Point.EGRESS, SkbState.ZEROCOPY)),
        pages=_pinned_pages(observation),
        note=_why_hidden(observation),
    )


def _as_asked(entries: list[Entry], payload: int, asked: int) -> Iterator[Entry]:
    """Of packets that mix both, by the calls: on a socket with SO_ZEROCOPY, TCP pins what asks for it, and that alone.

    net/ipv4/tcp.c: tcp_sendmsg_locked().
    """
    for entry, size in zip(entries, (payload - asked, asked), strict=True):
        yield msgspec.structs.replace(entry, source="engine", bytes=size, note="packets mix both; by the calls")


def _splice(observation: Observation, spliced: int, retransmitted: int | None) -> Entry:
    alone = spliced == all_bytes(observation, Point.EGRESS)
    return Entry(
        stage=Stage.SPLICE,
        function="skb_splice_from_iter",
        source=source_of(Point.EGRESS),
        bytes=difference(spliced, retransmitted) if alone else None if retransmitted else spliced,
        events=events_at(observation, spliced_name(Point.EGRESS)),
        note="inferred from skb state",
    )


def _pinned_pages(observation: Observation) -> int | None:
    """Page references of the skbs when first sent; None where some skbs cannot be told from retransmissions."""
    if mixed_bytes(observation) or all_bytes(observation, Point.PARTLY_AGAIN):
        return None
    return difference(
        pages_at(observation, tally_name(Point.EGRESS, SkbState.ZEROCOPY)),
        pages_at(observation, tally_name(Point.AGAIN, SkbState.ZEROCOPY)),
    )


def deferred_copy(observation: Observation) -> Entry:
    """Zero-copy when it left, ordinary when it arrived."""
    return Entry(
        stage=Stage.DEFERRED_COPY,
        function="skb_copy_ubufs",
        source=source_of(Point.INGRESS),
        bytes=deferred_bytes(observation),
        events=events_at(
            observation, tally_name(Point.EGRESS, SkbState.ZEROCOPY), tally_name(Point.EGRESS, SkbState.MIXED)
        ),
        note="zero-copy when it left, ordinary when it arrived: copied in between",
    )


def _linearize(observation: Observation, point: Point) -> Entry:
    return Entry(
        stage=Stage.LINEARIZE,
        function="skb_segment",
        source=source_of(point),
        bytes=linear_bytes(observation, point),
        events=events_at(observation, tally_name(point, SkbState.LINEAR)),
        note="payload in the linear part of an skb",
    )


def _uncopied(workload: Workload) -> Iterator[Entry]:
    """What came to the reader without a copy: no packet tells it, the engine does, and law L6 needs it."""
    functions = {"splice": "tcp_splice_read", "mapped": "tcp_zerocopy_receive"}
    for way, stage in UNCOPIED.items():
        if way in (workload.taken or {}):
            yield Entry(stage=stage, function=functions[way], source="engine", bytes=taken_in(workload, way))


def _copy_out(observation: Observation) -> Entry:
    return Entry(
        stage=Stage.COPY_OUT,
        function="_copy_to_iter",
        source=source_of(Point.COPY_OUT),
        bytes=all_bytes(observation, Point.COPY_OUT),
        events=total(
            events_at(observation, *(tally_name(Point.COPY_OUT, state) for state in SkbState)),
            events_at(observation, spliced_name(Point.COPY_OUT)) or 0,
        ),
    )
