"""What the function observer's tallies say about each stage. Pure.

Bytes are counted where the copying functions run, so nothing is inferred but copy_from_user: no probe reaches it on any
kernel (lib/ is built notrace), so it is counted three ways that must agree: by subtraction (law L1: what the send call
accepted, less what was pinned or spliced), by the check that hardened usercopy makes before each copy, and by a
hardware breakpoint on _copy_from_iter.
"""

from __future__ import annotations

import msgspec

from tracer.books.drops import Place, dropped_by_sender, dropped_bytes, entries_of_drops
from tracer.books.function_rows import Row
from tracer.books.records import TAG
from tracer.books.tallies import bytes_at, difference, events_at, pages_at, total
from tracer.model import Cause, Entry, Link, Observation, Stage, Tally, Workload

CHECK_ANY = Row.CHECK_ANY
CHECK_SEND, CHECK_RECEIVE = Row.CHECK_SEND, Row.CHECK_RECEIVE
BREAK_IN, BREAK_OUT = Row.BREAK_FROM_ITER, Row.BREAK_TO_ITER


def entries_from_functions(
    observation: Observation, link: Link, qdiscs: list[str] | None, workload: Workload
) -> list[Entry]:
    """One entry a copying function; ratios are left to the ledger.

    Args:
        qdiscs: As in Host.dropping_qdiscs.
        workload: Which ways to read there were.
    """
    entries = [
        _copy_in(observation),
        _pin(observation),
        *_deferred_copies(observation, link),
        _counted(observation, Stage.LINEARIZE, "skb_segment", Row.SEGMENT_COPY),
        _linearized_whole(observation),
        *_where_any(observation, "skb_checksum_help", Row.CHECKSUM_COPY, Cause.CHECKSUM),
        *_where_any(observation, "ip_do_fragment", Row.FRAGMENT_COPY, Cause.FRAGMENTATION),
        *_where_any(observation, "skb_copy", Row.WHOLE_COPY, Cause.CHANGED_PACKET),
        _counted(observation, Stage.BOUNCE, "swiotlb_map", Row.BOUNCE),
    ]
    if are_records(observation):
        entries.insert(2, _counted(observation, Stage.ENCRYPT, Row.ENCRYPTED.symbol, Row.ENCRYPTED))
    if spliced_bytes(observation):
        entries.insert(2, _spliced(observation))
    if link is Link.NIC:
        last = [_counted(observation, Stage.DMA, "dma_map_page_attrs", Row.DMA)]
    elif are_records(observation):
        last = [_decrypted(observation), _copy_out(observation)]
    else:
        last = [_copy_out(observation), *_uncopied(observation, workload)]
    return [*entries, *last, *entries_of_drops(observation, qdiscs)]


def _spliced(observation: Observation) -> Entry:
    if are_records(observation):
        row = Row.SOCKET_SENDPAGE if Row.SOCKET_SENDPAGE in observation.tallies else Row.SOCKET_SPLICED
    else:
        row = Row.SPLICE_FROM_ITER if _has_splice(observation) else Row.SENDPAGES
    return _counted(observation, Stage.SPLICE, row.symbol, row)


def _decrypted(observation: Observation) -> Entry:
    entry = _counted(observation, Stage.DECRYPT, Row.DECRYPTED.symbol, Row.DECRYPTED)
    return msgspec.structs.replace(entry, bytes=decrypted_bytes(observation))


def decrypted_bytes(observation: Observation) -> int | None:
    """Payload that came out of the cipher, which is given each record's tag with it."""
    records = events_at(observation, Row.DECRYPTED)
    return difference(bytes_at(observation, Row.DECRYPTED), None if records is None else records * TAG)


def spliced_bytes(observation: Observation) -> int | None:
    """Page-cache or pipe pages put into skbs, or given to a cipher; a kernel has one of two functions for each."""
    ways = (Row.SPLICE_FROM_ITER, Row.SENDPAGES, Row.SOCKET_SPLICED, Row.SOCKET_SENDPAGE)
    known = [bytes_at(observation, way) for way in ways if way in observation.tallies]
    return total(*known) if known else None


def retransmitted_bytes(observation: Observation) -> int | None:
    """Payload that TCP sent again."""
    return bytes_at(observation, Row.RETRANSMIT)


def pulled_bytes(observation: Observation) -> int | None:
    """The few payload bytes that a driver pulls into the linear part beside the headers."""
    return bytes_at(observation, Row.PULL)


def linearized_bytes(observation: Observation) -> int | None:
    """Payload copied from fragments into the linear part of packets, once for each packet."""
    ways = (Row.SEGMENT_COPY, Row.LINEARIZE, Row.CHECKSUM_COPY, Row.FRAGMENT_COPY, Row.WHOLE_COPY)
    return difference(bytes_at(observation, *ways), bytes_at(observation, Row.COPY_AGAIN))


def orphaned_bytes(observation: Observation) -> int | None:
    """Payload of packets that came to the driver, or were dropped before, without a socket."""
    return total(bytes_at(observation, Row.XMIT_UNOWNED), dropped_bytes(observation, Place.UNOWNED))


def doubled_bytes(observation: Observation) -> int | None:
    """Payload that came to the driver beyond what was sent and not dropped: a qdisc has doubled packets."""
    went_on = difference(bytes_at(observation, transmit_row(observation)), dropped_by_sender(observation) or 0)
    return difference(bytes_at(observation, Row.XMIT_PAYLOAD, Row.XMIT_UNOWNED), went_on)


def checked_bytes(observation: Observation, point: str) -> int | None:
    """Bytes that hardened usercopy checked; None where the check is off (hardened_usercopy=off) and never fires."""
    return bytes_at(observation, point) if events_at(observation, CHECK_ANY) else None


def are_datagrams(observation: Observation) -> bool:
    """Whether UDP was watched: its functions are attached for its payload alone."""
    return Row.DATAGRAM_SENT in observation.tallies


def are_records(observation: Observation) -> bool:
    """Whether kernel TLS was watched, likewise."""
    return Row.SOCKET_SENT in observation.tallies


def pinning_row(observation: Observation) -> Row:
    """Where the sender's pages are pinned."""
    if are_records(observation):
        return Row.GIVEN_IN_PLACE
    return Row.DATAGRAM_PINNED if are_datagrams(observation) else Row.ZEROCOPY_STREAM


def transmit_row(observation: Observation) -> Row:
    """Where the transport hands its packets down."""
    return Row.DATAGRAM_TRANSMIT if are_datagrams(observation) else Row.TRANSMIT


def copied_in_bytes(observation: Observation) -> int | None:
    """Law L1: accepted by the send call, and neither pinned nor spliced."""
    if are_datagrams(observation):
        return difference(bytes_at(observation, Row.DATAGRAM_SENT), bytes_at(observation, Row.DATAGRAM_PINNED))
    if are_records(observation):
        in_place = total(bytes_at(observation, Row.GIVEN_IN_PLACE), bytes_at(observation, Row.SOCKET_SPLICED))
        return difference(bytes_at(observation, Row.SOCKET_SENT), in_place)
    sent = bytes_at(observation, Row.SEND_RETURN)
    through_sendmsg = total(
        bytes_at(observation, Row.ZEROCOPY_STREAM),
        bytes_at(observation, Row.SPLICE_FROM_ITER) if _has_splice(observation) else 0,
    )
    return difference(sent, through_sendmsg)


def _has_splice(observation: Observation) -> bool:
    """Whether splice comes through sendmsg here (since 6.5), and was thus to be watched."""
    return Row.SENDPAGES not in observation.tallies


def _source(observation: Observation, point: str) -> str:
    symbol = point.partition(":")[0]
    return f"{observation.attached.get(symbol, 'function')}:{symbol}"


def _counted(observation: Observation, stage: Stage, function: str, point: str, cause: Cause | None = None) -> Entry:
    """An entry that is one probe point's count as it stands."""
    return Entry(
        stage=stage,
        function=function,
        source=_source(observation, point) if point in observation.tallies else "",
        bytes=bytes_at(observation, point),
        events=events_at(observation, point),
        stacks=observation.stacks.get(point, []),
        cause=cause,
        note=_why_unknown(observation, point),
    )


def _linearized_whole(observation: Observation) -> Entry:
    entry = _counted(observation, Stage.LINEARIZE, "__pskb_pull_tail", Row.LINEARIZE)
    pulled = pulled_bytes(observation)
    if not pulled:
        return entry
    return msgspec.structs.replace(entry, note=f"of whole packets; {pulled:,} B by the driver, beside the headers")


def _why_unknown(observation: Observation, point: str) -> str:
    if point in observation.tallies:
        return ""
    symbol = point.partition(":")[0]
    return f"not observed: {observation.unattached.get(symbol, 'a probe point that it rests on is missing')}"


def _copy_in(observation: Observation) -> Entry:
    return Entry(
        stage=Stage.COPY_IN,
        function="_copy_from_iter",
        source="law:L1",
        bytes=copied_in_bytes(observation),
        events=events_at(observation, CHECK_SEND),
        stacks=observation.stacks.get(CHECK_SEND, []),
        witnesses={
            _source(observation, CHECK_SEND): checked_bytes(observation, CHECK_SEND),
            _source(observation, BREAK_IN): bytes_at(observation, BREAK_IN),
        },
    )


def _pin(observation: Observation) -> Entry:
    point = pinning_row(observation)
    accounted = pages_at(observation, Row.ACCOUNTED)
    return Entry(
        stage=Stage.PIN,
        function=point.symbol,
        source=_source(observation, point),
        bytes=bytes_at(observation, point),
        events=events_at(observation, point),
        pages=pages_at(observation, Row.USER_PAGES),
        stacks=observation.stacks.get(point, []),
        note="" if accounted is None else f"{accounted:,} pages charged to the memlock limit",
    )


def _where_any(observation: Observation, function: str, row: Row, cause: Cause) -> list[Entry]:
    """Linear copies that are rare enough to have an entry only where one was made."""
    return [_counted(observation, Stage.LINEARIZE, function, row, cause)] if bytes_at(observation, row) else []


def _deferred_copies(observation: Observation, link: Link) -> list[Entry]:
    """An entry for each cause, which the function that asked for the copy tells; one, if nothing was copied."""
    whole = _counted(observation, Stage.DEFERRED_COPY, "skb_copy_ubufs", Row.COPY_UBUFS)
    found: dict[Cause, list[Tally]] = {}
    for caller, tally in callers_of_deferred_copies(observation).items():
        found.setdefault(cause_of_caller(caller, link), []).append(tally)
    return [
        msgspec.structs.replace(
            whole, cause=cause, bytes=sum(one.bytes for one in tallies), events=sum(one.events for one in tallies)
        )
        for cause, tallies in found.items()
    ] or [whole]


def callers_of_deferred_copies(observation: Observation) -> dict[str, Tally]:
    """What was copied by skb_copy_ubufs(), by the function that called it."""
    start = f"{Row.COPY_UBUFS.symbol}:"
    return {
        name.removeprefix(start): tally
        for name, tally in observation.tallies.items()
        if name.startswith(start) and name != Row.COPY_UBUFS
    }


def copied_for_outgoing_taps(observation: Observation) -> int:
    """Deferred copies that taps got on the way out, before the driver: dev_queue_xmit_nit(), net/core/dev.c."""
    callers = callers_of_deferred_copies(observation)
    return sum(tally.bytes for caller, tally in callers.items() if _without_suffix(caller) == _OUTGOING_TAP)


_OUTGOING_TAP = "dev_queue_xmit_nit"
_INCOMING_TAP = "deliver_skb"
# Until 6.16 it takes the pages off whatever comes in, before it is known whither: net/core/dev.c.
_ANY_ARRIVAL = "__netif_receive_skb_core"
# Who calls skb_copy_ubufs(), through skb_orphan_frags[_rx](): seen on 6.1, 6.12 and 7.2.
_CAUSES = {
    _OUTGOING_TAP: Cause.PACKET_TAP,
    _INCOMING_TAP: Cause.PACKET_TAP,
    _ANY_ARRIVAL: Cause.LOCAL_DELIVERY,
    "ip_local_deliver_finish": Cause.LOCAL_DELIVERY,
    "ip6_input_finish": Cause.LOCAL_DELIVERY,
    "ip6_protocol_deliver_rcu": Cause.LOCAL_DELIVERY,
    "ip_protocol_deliver_rcu": Cause.LOCAL_DELIVERY,
    "tun_net_xmit": Cause.TUN,
    "tap_handle_frame": Cause.TUN,
}


def cause_of_caller(symbol: str, link: Link) -> Cause:
    """Why a deferred copy was made, by the function that asked for it.

    What an incoming tap is given on a way that ends at a local socket, that socket's delivery would have copied: one
    copy serves both, and without the tap it is made all the same (until 6.16 the two are even one function).
    On a way that leads elsewhere, what comes in is to be passed on, or so it seems: whether it was, the scene tells.
    """
    name = _without_suffix(symbol)
    if name == _ANY_ARRIVAL and link is Link.NIC:
        return Cause.FORWARDING
    if name == _INCOMING_TAP and link is not Link.NIC:
        return Cause.LOCAL_DELIVERY
    return _CAUSES.get(name, Cause.UNKNOWN)


def _without_suffix(symbol: str) -> str:
    """Compilers add them to names: ".constprop.0", ".isra.0"."""
    return symbol.partition(".")[0]


# Where bytes come to the reader without a copy, by how they are taken.
_UNCOPIED = {"splice": (Stage.SPLICE_OUT, Row.SPLICE_READ), "mapped": (Stage.MAP_OUT, Row.ZEROCOPY_RECEIVE_MAPPED)}


def _uncopied(observation: Observation, workload: Workload) -> list[Entry]:
    taken = workload.taken or {}
    return [_counted(observation, stage, row.symbol, row) for way, (stage, row) in _UNCOPIED.items() if way in taken]


def uncopied_bytes(observation: Observation, workload: Workload) -> int | None:
    """Bytes that were taken without a copy; no function shows those that are thrown away, but the engine does."""
    taken = workload.taken or {}
    seen = (bytes_at(observation, row) for way, (_, row) in _UNCOPIED.items() if way in taken)
    return total(*seen, taken.get("discard", 0))


def _copy_out(observation: Observation) -> Entry:
    # Of what UDP copies, one kind of packet alone goes through simple_copy_to_iter(): what recv() returned is it all.
    point = Row.DATAGRAM_READ if are_datagrams(observation) else Row.COPY_TO_ITER
    return Entry(
        stage=Stage.COPY_OUT,
        function="_copy_to_iter",
        source=_source(observation, point),
        bytes=bytes_at(observation, point),
        events=events_at(observation, point),
        stacks=observation.stacks.get(CHECK_RECEIVE, []),
        witnesses={
            _source(observation, CHECK_RECEIVE): checked_bytes(observation, CHECK_RECEIVE),
            _source(observation, BREAK_OUT): bytes_at(observation, BREAK_OUT),
        },
    )
