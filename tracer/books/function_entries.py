"""What the function observer's tallies say about each stage. Pure.

Bytes are counted where the copying functions run, so nothing is inferred but copy_from_user: no probe reaches it on any
kernel (lib/ is built notrace), so it is counted three ways that must agree: by subtraction (law L1: what the send call
accepted, less what was pinned or spliced), by the check that hardened usercopy makes before each copy, and by a
hardware breakpoint on _copy_from_iter.
"""

from __future__ import annotations

import msgspec

from tracer.books.tallies import bytes_at, difference, events_at, pages_at, total
from tracer.model import Entry, Link, Observation, Stage

CHECK_ANY = "__check_object_size:any"
CHECK_SEND, CHECK_RECEIVE = "__check_object_size:send", "__check_object_size:receive"
BREAK_IN, BREAK_OUT = "_copy_from_iter:breakpoint", "_copy_to_iter:breakpoint"


def entries_from_functions(observation: Observation, link: Link) -> list[Entry]:
    """One entry a copying function; ratios are left to the ledger."""
    entries = [
        _copy_in(observation),
        _pin(observation),
        _deferred_copy(observation),
        _counted(observation, Stage.LINEARIZE, "skb_segment", "skb_copy_bits:segment"),
        _linearized_whole(observation),
        _counted(observation, Stage.BOUNCE, "swiotlb_map", "swiotlb_map:payload"),
    ]
    if spliced_bytes(observation):
        entries.insert(2, _counted(observation, Stage.SPLICE, "skb_splice_from_iter", "skb_splice_from_iter:return"))
    if link is Link.NIC:
        return [*entries, _counted(observation, Stage.DMA, "dma_map_page_attrs", "dma_map_page_attrs:payload")]
    return [*entries, _copy_out(observation)]


def spliced_bytes(observation: Observation) -> int | None:
    """Page-cache or pipe pages put into skbs; a kernel has one of the two functions."""
    ways = ("skb_splice_from_iter:return", "do_tcp_sendpages:return")
    known = [bytes_at(observation, way) for way in ways if way in observation.tallies]
    return total(*known) if known else None


def retransmitted_bytes(observation: Observation) -> int | None:
    """Payload that TCP sent again."""
    return bytes_at(observation, "tcp_retransmit_skb:tracepoint")


def pulled_bytes(observation: Observation) -> int | None:
    """The few payload bytes that a driver pulls into the linear part beside the headers."""
    return bytes_at(observation, "__pskb_pull_tail:pull")


def checked_bytes(observation: Observation, point: str) -> int | None:
    """Bytes that hardened usercopy checked; None where the check is off (hardened_usercopy=off) and never fires."""
    return bytes_at(observation, point) if events_at(observation, CHECK_ANY) else None


def copied_in_bytes(observation: Observation) -> int | None:
    """Law L1: accepted by the send call, and neither pinned nor spliced."""
    sent = bytes_at(observation, "tcp_sendmsg_locked:return")
    through_sendmsg = total(
        bytes_at(observation, "skb_zerocopy_iter_stream:return"),
        bytes_at(observation, "skb_splice_from_iter:return") if _has_splice(observation) else 0,
    )
    return difference(sent, through_sendmsg)


def _has_splice(observation: Observation) -> bool:
    """Whether splice comes through sendmsg here (since 6.5), and was thus to be watched."""
    return "do_tcp_sendpages:return" not in observation.tallies


def _source(observation: Observation, point: str) -> str:
    symbol = point.partition(":")[0]
    return f"{observation.attached.get(symbol, 'function')}:{symbol}"


def _counted(observation: Observation, stage: Stage, function: str, point: str) -> Entry:
    """An entry that is one probe point's count as it stands."""
    return Entry(
        stage=stage,
        function=function,
        source=_source(observation, point) if point in observation.tallies else "",
        bytes=bytes_at(observation, point),
        events=events_at(observation, point),
        stacks=observation.stacks.get(point, []),
        note=_why_unknown(observation, point),
    )


def _linearized_whole(observation: Observation) -> Entry:
    entry = _counted(observation, Stage.LINEARIZE, "__pskb_pull_tail", "__pskb_pull_tail:linearize")
    pulled = pulled_bytes(observation)
    if not pulled:
        return entry
    return msgspec.structs.replace(entry, note=f"apart: {pulled:,} B pulled into the linear part, beside the headers")


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
    point = "skb_zerocopy_iter_stream:return"
    accounted = pages_at(observation, "mm_account_pinned_pages:entry")
    return Entry(
        stage=Stage.PIN,
        function="skb_zerocopy_iter_stream",
        source=_source(observation, point),
        bytes=bytes_at(observation, point),
        events=events_at(observation, point),
        pages=pages_at(observation, "get_user_pages_fast:return"),
        stacks=observation.stacks.get(point, []),
        note="" if accounted is None else f"{accounted:,} pages charged to the memlock limit",
    )


def _deferred_copy(observation: Observation) -> Entry:
    return _counted(observation, Stage.DEFERRED_COPY, "skb_copy_ubufs", "skb_copy_ubufs:return")


def _copy_out(observation: Observation) -> Entry:
    point = "simple_copy_to_iter:entry"
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
