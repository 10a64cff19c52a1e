"""Rules about the pieces in which payload was moved, and about what was dropped. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tracer.books.finding import Figures, Rule
from tracer.model.socket_recording import SocketRecording
from tracer.model.sockets import Packets, Transfer

# Calls, or packets, that make a habit; times as many pieces as there are packets.
_MANY, _PIECES = 64, 4
# Ethernet's payload of TCP: whole packets are not small.
_SMALL_CALL = 1448
# MAX_SKB_FRAGS of most kernels, nearly; an skb holds 64 KiB.
_FULL_OF_FRAGMENTS, _HALF_FULL, _ONE_PACKET = 15, 32 << 10, 4096


def _small_writes(recording: SocketRecording) -> Iterator[Figures]:
    """Several writes went out in one skb: nothing was waited for between them."""
    yield from _pieces((one.sent.get("copy"), one.left.packets) for one in recording.sockets if one.protocol == "tcp")


def _is_in_pieces(moved: Transfer, packets: int) -> bool:
    """Many small calls, and several of them to a packet."""
    if moved.calls < _MANY or not packets:
        return False
    return moved.bytes < _SMALL_CALL * moved.calls and moved.calls >= _PIECES * packets


def _tiny_reads(recording: SocketRecording) -> Iterator[Figures]:
    """Several reads to a packet: more lay there than was asked for."""
    yield from _pieces((one.read.get("copy"), one.came.packets) for one in recording.sockets if one.protocol == "tcp")


def _pieces(of_sockets: Iterable[tuple[Transfer | None, int]]) -> Iterator[Figures]:
    """Of sockets whose calls and packets these are, those that moved their bytes in pieces."""
    found = [(moved, packets) for moved, packets in of_sockets if moved is not None and _is_in_pieces(moved, packets)]
    if found:
        calls, packets = sum(moved.calls for moved, _ in found), sum(packets for _, packets in found)
        each = sum(moved.bytes for moved, _ in found) // calls
        yield {"calls": calls, "each": each, "packets": packets, "ratio": f"{calls / packets:.0f}"}


def _unmapped(recording: SocketRecording) -> Iterator[Figures]:
    """TCP_ZEROCOPY_RECEIVE that mapped nothing shows by its copies alone: without a copy buffer it leaves no figure."""
    found = [one for one in recording.sockets if one.copybuf_bytes and "mapped" not in one.read]
    if found:
        came = [one.came for one in found]
        packets, fragments = sum(one.packets for one in came), sum(one.fragments for one in came)
        number, linear = sum(one.bytes for one in came), sum(one.linear for one in came)
        yield {
            "bytes": sum(one.copybuf_bytes for one in found), "packets": packets, "fragments": fragments,
            "linear": linear, "why": _why_unmapped(number, fragments, linear),
        }  # fmt: skip


def _why_unmapped(number: int, fragments: int, linear: int) -> str:
    """A page is mapped where a fragment is just that page (net/ipv4/tcp.c: can_map_frag)."""
    if number and linear == number:
        return "all of it came in the linear part of packets; only whole pages in fragments can be mapped"
    each = f", and {(number - linear) / fragments:,.0f} B a fragment came on average" if fragments else ""
    return f"only fragments that are one whole page can be mapped{each}"


def _dropped(recording: SocketRecording) -> Iterator[Figures]:
    sent = recording.totals.dropped_bytes or 0
    came = sum(socket.dropped_in_bytes or 0 for socket in recording.sockets)
    stopped = sum(socket.stopped_bytes or 0 for socket in recording.sockets)
    if sent or came or stopped:
        told = [f"{stopped:,} B before they left IP"] if stopped else []
        told += [f"{sent:,} B that were sent"] if sent else []
        told += [f"{came:,} B that had arrived"] if came else []
        yield {
            "sent": sent, "came": came, "stopped": stopped, "told": " and ".join(told),
            "where": _where(sent, stopped),
        }  # fmt: skip


def _where(sent: int, stopped: int) -> str:
    if stopped:
        return "no route, or a netfilter rule" + (", and a full queue here (qdisc, device)" if sent else "")
    return "a full queue here (qdisc, device)" if sent else "a full receive buffer, or a filter"


def _small_skbs(recording: SocketRecording) -> Iterator[Figures]:
    """Packets that are far from full although the calls were not small."""
    left, sent = recording.totals.left, recording.totals.sent
    calls = sum(moved.calls for moved in sent.values())
    if left.packets < _MANY or not calls:
        return
    reason = _why_small(left, recording.totals.sent_bytes / calls)
    if reason:
        why, fix = reason
        yield {
            "packets": left.packets, "each": left.bytes // left.packets,
            "fragments": f"{left.fragments / left.packets:.1f}", "why": why, "fix": fix,
        }  # fmt: skip


def _why_small(left: Packets, call: float) -> tuple[str, str] | None:
    each, fragments = left.bytes / left.packets, left.fragments / left.packets
    if fragments >= _FULL_OF_FRAGMENTS and each < _HALF_FULL:
        return (
            "an skb has room for 17 fragments (MAX_SKB_FRAGS), and each piece of payload takes one; "
            "the cost of a packet is paid for each skb",
            "hand over larger pieces: whole pages, aligned, adjacent",
        )
    if each < _ONE_PACKET and call >= _PIECES * each:
        return (
            "a call was cut into many packets before IP: the cost of a packet is paid for each; "
            "probably segmentation offload is off, or the window is small",
            "ethtool -k DEVICE: tcp-segmentation-offload and generic-segmentation-offload on",
        )
    return None


RULES = (
    Rule(
        "small-writes",
        _small_writes,
        sentence="{calls:,} writes of {each:,} B on average went out in {packets:,} skbs, {ratio} in each",
        why="they could be one: each is a system call, and the kernel itself has joined them",
        fix="gather them (writev, a buffer), or MSG_MORE",
    ),
    Rule(
        "tiny-reads",
        _tiny_reads,
        sentence="{calls:,} reads of {each:,} B on average took what came in {packets:,} skbs: {ratio} reads a packet",
        why="each read is a system call, and more lay there than it asked for",
        fix="read into a larger buffer",
    ),
    Rule(
        "nothing-mapped",
        _unmapped,
        sentence="TCP_ZEROCOPY_RECEIVE mapped nothing and copied {bytes:,} B",
        why="{why}",
        fix="a NIC with header split and an MTU of whole pages and headers; else read with recv",
    ),
    Rule(
        "dropped-here",
        _dropped,
        sentence="dropped on this machine: {told}",
        why="probably {where}; TCP sends it again, UDP does not",
        fix="nstat -z, tc -s qdisc, ip -s link and ip route show where; a slower sender or longer queues",
    ),
    Rule(
        "small-skbs",
        _small_skbs,
        sentence="{packets:,} skbs left, small ones: {each:,} B and {fragments} fragments an skb",
        why="{why}",
        fix="{fix}",
    ),
)  # fmt: skip
