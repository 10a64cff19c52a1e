"""What the function observer's tallies say about each stage. Pure.

Bytes are counted where the copying functions run, so nothing is inferred but copy_from_user: no probe reaches it on any
kernel (lib/ is built notrace), so it is counted three ways that must agree: by subtraction (law L1: what the send call
accepted, less what was pinned or spliced), by the check that hardened usercopy makes before each copy, and by a
hardware breakpoint on _copy_from_iter.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from tracer.books.drops import entries_of_drops
from tracer.books.function_rows import CALLER, Row
from tracer.books.tallies import bytes_at, difference, events_at, pages_at, total
from tracer.model import Cause, Entry, Host, Link, Observation, Stack, Stage, Tally

# Who calls skb_copy_ubufs(), by symbol. A receiving path copies for a tap and for the local socket in one: on 6.1 and
# 6.12 by the same function, and what the tap's delivery has copied is not copied again. Since 7.2 packets that are only
# forwarded are spared: the copy has moved to where a socket is sure.
_CALLERS = {
    "__netif_receive_skb_core": Cause.LOCAL_DELIVERY,
    "ip_local_deliver_finish": Cause.LOCAL_DELIVERY,
    "ip6_input_finish": Cause.LOCAL_DELIVERY,
    "deliver_skb": Cause.LOCAL_DELIVERY,
    "dev_queue_xmit_nit": Cause.PACKET_TAP,
    "tun_net_xmit": Cause.TUN,
}


def entries_from_functions(observation: Observation, link: Link, host: Host) -> list[Entry]:
    """One entry a copying function and cause; ratios are left to the ledger."""
    entries = [
        _copy_in(observation),
        _pin(observation),
        *_spliced(observation),
        *_deferred_copies(observation, link),
        *_linearized(observation, host),
        _caused(_counted(observation, Stage.BOUNCE, "swiotlb_map", Row.BOUNCE), Cause.BOUNCE_BUFFER),
    ]
    last = _counted(observation, Stage.DMA, "dma_map_page_attrs", Row.DMA) if link is Link.NIC else None
    return [*entries, last or _copy_out(observation), *entries_of_drops(observation, host.dropping_qdiscs)]


def cause_of_caller(symbol: str, link: Link) -> Cause:
    """Why skb_copy_ubufs() was called, by who called it."""
    if symbol == "deliver_skb" and link is Link.NIC:  # no socket of the workload is here: a tap's delivery it was
        return Cause.PACKET_TAP
    return _CALLERS.get(symbol, Cause.UNKNOWN)


def splice_row(observation: Observation) -> Row:
    """Where page-cache or pipe pages are put into skbs: a kernel has one of the two functions."""
    return Row.SENDPAGES if Row.SENDPAGES in observation.tallies else Row.SPLICE_FROM_ITER


def spliced_bytes(observation: Observation) -> int | None:
    """Page-cache or pipe pages put into skbs."""
    return bytes_at(observation, splice_row(observation))


def deferred_bytes(observation: Observation, link: Link, *, tapped: bool) -> int | None:
    """Deferred copies made for packet taps, or all others; None if nobody watched."""
    if Row.COPY_UBUFS not in observation.tallies:
        return None
    taps = sum(
        tally.bytes for symbol, tally in _callers(observation) if cause_of_caller(symbol, link) is Cause.PACKET_TAP
    )
    return taps if tapped else difference(bytes_at(observation, Row.COPY_UBUFS), taps)


def retransmitted_bytes(observation: Observation) -> int | None:
    """Payload that TCP sent again."""
    return bytes_at(observation, Row.RETRANSMIT)


def pulled_bytes(observation: Observation) -> int | None:
    """The few payload bytes that a driver pulls into the linear part beside the headers."""
    return bytes_at(observation, Row.PULL)


def linear_bytes(observation: Observation) -> int | None:
    """Payload copied from fragments to make linear packets, for whatever cause."""
    return bytes_at(observation, Row.SEGMENT_COPY, Row.LINEARIZE, Row.LINEARIZE_CHECKSUM)


def copied_whole(observation: Observation) -> int | None:
    """Payload of packets copied as a whole on their way to the device."""
    return bytes_at(observation, Row.COPY_WHOLE)


def checked_bytes(observation: Observation, point: Row) -> int | None:
    """Bytes that hardened usercopy checked; None where the check is off (hardened_usercopy=off) and never fires."""
    return bytes_at(observation, point) if events_at(observation, Row.CHECK_ANY) else None


def copied_in_bytes(observation: Observation) -> int | None:
    """Law L1: accepted by the send call, and neither pinned nor spliced."""
    by_pages = bytes_at(observation, Row.ZEROCOPY_STREAM)
    # Before 6.5 spliced pages went past the send call, and are not in what it returned.
    by_splice = 0 if splice_row(observation) is Row.SENDPAGES else spliced_bytes(observation)
    return difference(bytes_at(observation, Row.SEND_RETURN), total(by_pages, by_splice))


def _source(observation: Observation, row: Row) -> str:
    symbol = row.needs[0]
    return f"{observation.attached.get(symbol, 'function')}:{symbol}"


def _counted(observation: Observation, stage: Stage, function: str, row: Row) -> Entry:
    """An entry that is one row's count as it stands."""
    return Entry(
        stage=stage,
        function=function,
        source=_source(observation, row) if row in observation.tallies else "",
        bytes=bytes_at(observation, row),
        events=events_at(observation, row),
        stacks=observation.stacks.get(row, []),
        note=_why_unknown(observation, row),
    )


def _caused(entry: Entry, cause: Cause) -> Entry:
    """The entry with its cause, if anything was copied at all."""
    return msgspec.structs.replace(entry, cause=cause) if entry.bytes else entry


def _why_unknown(observation: Observation, row: Row) -> str:
    if row in observation.tallies:
        return ""
    missing = (observation.unattached[symbol] for symbol in row.needs if symbol in observation.unattached)
    return f"not observed: {next(missing, 'a probe point that it rests on is missing')}"


def _linearized(observation: Observation, host: Host) -> list[Entry]:
    """Segmented by copying, pulled whole, and the same to sum up what the device cannot."""
    without = host.nic is not None and host.nic.scatter_gather is False
    by_device = Cause.NO_SCATTER_GATHER if without else Cause.UNKNOWN
    pulled = pulled_bytes(observation)
    whole = _counted(observation, Stage.LINEARIZE, "__pskb_pull_tail", Row.LINEARIZE)
    if pulled:
        note = f"apart: {pulled:,} B pulled into the linear part, beside the headers"
        whole = msgspec.structs.replace(whole, note=note)
    summed = _counted(observation, Stage.LINEARIZE, "skb_checksum_help", Row.LINEARIZE_CHECKSUM)
    again = _counted(observation, Stage.LINEARIZE, "skb_copy_bits", Row.COPY_WHOLE)
    again = msgspec.structs.replace(
        again, note="whole packets: by a qdisc that changes them, or by IP to fragment them"
    )
    return [
        _caused(_counted(observation, Stage.LINEARIZE, "skb_segment", Row.SEGMENT_COPY), by_device),
        _caused(whole, by_device),
        *([_caused(summed, Cause.CHECKSUM)] if summed.bytes else []),
        *([_caused(again, Cause.UNKNOWN)] if again.bytes else []),
    ]


def _copy_in(observation: Observation) -> Entry:
    return Entry(
        stage=Stage.COPY_IN,
        function="_copy_from_iter",
        source="law:F.L1",
        bytes=copied_in_bytes(observation),
        events=events_at(observation, Row.CHECK_SEND),
        stacks=observation.stacks.get(Row.CHECK_SEND, []),
        witnesses={
            _source(observation, Row.CHECK_SEND): checked_bytes(observation, Row.CHECK_SEND),
            _source(observation, Row.BREAK_FROM_ITER): bytes_at(observation, Row.BREAK_FROM_ITER),
        },
    )


def _pin(observation: Observation) -> Entry:
    accounted = pages_at(observation, Row.ACCOUNTED)
    entry = _counted(observation, Stage.PIN, "skb_zerocopy_iter_stream", Row.ZEROCOPY_STREAM)
    note = entry.note if accounted is None else f"{accounted:,} pages charged to the memlock limit"
    return msgspec.structs.replace(entry, pages=pages_at(observation, Row.USER_PAGES), note=note)


def _spliced(observation: Observation) -> list[Entry]:
    row = splice_row(observation)
    return [_counted(observation, Stage.SPLICE, row.needs[0], row)] if spliced_bytes(observation) else []


def _callers(observation: Observation) -> Iterable[tuple[str, Tally]]:
    for name, tally in observation.tallies.items():
        if name.startswith(CALLER):
            yield name.removeprefix(CALLER), tally


def _deferred_copies(observation: Observation, link: Link) -> list[Entry]:
    """One entry a cause; one without where nothing was copied or nobody watched."""
    entry = _counted(observation, Stage.DEFERRED_COPY, "skb_copy_ubufs", Row.COPY_UBUFS)
    if not entry.bytes:
        return [entry]
    symbols: dict[Cause, dict[str, Tally]] = {}
    for symbol, tally in _callers(observation):
        symbols.setdefault(cause_of_caller(symbol, link), {})[symbol] = tally
    everybody = {symbol for callers in symbols.values() for symbol in callers}
    entries = [_called_by(entry, cause, callers, everybody) for cause, callers in symbols.items()]
    return entries or [_caused(entry, Cause.UNKNOWN)]


def _called_by(entry: Entry, cause: Cause, callers: dict[str, Tally], everybody: set[str]) -> Entry:
    return msgspec.structs.replace(
        entry,
        cause=cause,
        bytes=sum(tally.bytes for tally in callers.values()),
        events=sum(tally.events for tally in callers.values()),
        stacks=[stack for stack in entry.stacks if _innermost(stack, everybody) in callers],
        note="called by " + ", ".join(callers),
    )


def _innermost(stack: Stack, functions: set[str]) -> str | None:
    """The first of these functions in a stack; the compiler's suffix is none of a name."""
    names = (frame.partition(".")[0] for frame in stack.frames)
    return next((name for name in names if name in functions), None)


def _copy_out(observation: Observation) -> Entry:
    return Entry(
        stage=Stage.COPY_OUT,
        function="_copy_to_iter",
        source=_source(observation, Row.COPY_TO_ITER),
        bytes=bytes_at(observation, Row.COPY_TO_ITER),
        events=events_at(observation, Row.COPY_TO_ITER),
        stacks=observation.stacks.get(Row.CHECK_RECEIVE, []),
        witnesses={
            _source(observation, Row.CHECK_RECEIVE): checked_bytes(observation, Row.CHECK_RECEIVE),
            _source(observation, Row.BREAK_TO_ITER): bytes_at(observation, Row.BREAK_TO_ITER),
        },
    )
