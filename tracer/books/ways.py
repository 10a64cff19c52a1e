"""From a row as the kernel side counted it to a socket in the words of a recording. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from socket import AF_INET, AF_INET6, inet_ntop
from typing import NamedTuple

import msgspec

from tracer.books.copies import ciphered_of_read, ciphered_of_sent
from tracer.books.socket_rows import Row
from tracer.model.sockets import (
    IN_WINDOW,
    NO_PACKETS,
    NOT_REFUSED,
    READ_WAYS,
    SEND_WAYS,
    Before,
    Completions,
    DeferredCopy,
    Packets,
    Refused,
    Socket,
    TcpState,
    Tls,
    Totals,
    Transfer,
)

TCP = 6
# IPPROTO_MPTCP of linux/in.h.
MPTCP = 262
PROTOCOLS = {TCP: "tcp", 17: "udp", 136: "udplite", MPTCP: "mptcp", 132: "sctp", 1: "icmp", 58: "icmp6", 255: "raw"}
_AF_INET6 = 10
# bpf/sockets/beginning.h.
_WAS_IN_PROGRESS = 2

Counters = Mapping[str, int]
Deferred = Mapping[tuple[int, str], tuple[int, int]]


class Surroundings(NamedTuple):
    """What a row does not say of itself.

    Args:
        by_functions: Calls were seen at the return of functions; else reads that pass no call are told otherwise.
        attached: Probe points that were watched: what one of the others would count is None.
        notified: Cookie -> io_uring notifications, and those with the flag "copied".
        deferred: By cookie; None where nobody looked.
        link: Name of an interface by its index.
        cgroup: Path of a cgroup by its id; None of the one that goes without saying.
        own_netns: Inode of the network namespace that goes without saying.
        zero_s: Time of the first instruction, on the clock of the rows.
        names_receivers: A packet that is dropped comes with the socket that was to get it.
        tick_s: Of the kernel's, by which the rows tell the time of the last call.
    """

    by_functions: bool
    attached: frozenset[str] = frozenset()
    notified: Mapping[int, tuple[int, int]] = {}
    deferred: Mapping[int, list[DeferredCopy]] | None = None
    link: Callable[[int], str | None] = str
    cgroup: Callable[[int], str | None] = str
    own_netns: int = 0
    zero_s: float = 0.0
    names_receivers: bool = True
    tick_s: float = 0.0


def socket_of(row: Row, around: Surroundings) -> Socket:
    """The socket of a row."""
    counters, cookie, attached, zero_s = row.counters, row.number("cookie"), around.attached, around.zero_s
    protocol = row.number("protocol")
    is_tcp = protocol == TCP
    is_ignored = is_tcp and counters["sent_zerocopy_ignored_calls"] > 0
    return Socket(
        cookie=cookie,
        family="inet6" if row.number("family") == _AF_INET6 else "inet",
        protocol=PROTOCOLS.get(protocol, str(protocol)),
        local=endpoint(row, "local"),
        peer=endpoint(row, "peer"),
        pids=[row.number("tgid")] if row.number("owned") else [],
        comm=row.data("comm").rstrip(b"\0").decode(errors="replace") if row.number("owned") else None,
        netns=None if row.number("netns") == around.own_netns else row.number("netns"),
        cgroup=around.cgroup(row.number("cgroup")),
        link=_link_of(row, around),
        born="before" if row.number("before") else IN_WINDOW,
        accepted=bool(row.number("accepted")),
        ended=bool(row.number("ended")),
        first_s=round(row.number("first_ns") / 1e9 - zero_s, 4),
        last_s=round(row.number("first_ns") / 1e9 - zero_s + around.tick_s * _ticks(row), 4),
        sent=sent_by_way(counters, is_udp=not is_tcp and protocol != MPTCP),
        read=read_by_way(counters, around.by_functions),
        left=packets(counters, "left"),
        came=packets(counters, "came"),
        consumed_bytes=counters["consumed"] if is_tcp and "tcp_rcv_space_adjust" in attached else None,
        copied_out_bytes=counters["copied_out"] if "skb_copy_datagram_iovec" in attached else None,
        copybuf_bytes=copybuf(counters, around.by_functions),
        dropped_bytes=counters["dropped_out"] if "kfree_skb" in attached else None,
        dropped_in_bytes=counters["dropped_in"] if "kfree_skb" in attached and around.names_receivers else None,
        refused=refused(counters, row.number("enobufs_after")),
        completions=completions(counters, around.notified.get(cookie), from_its_first=not row.number("before")),
        tcp=tcp_state(counters) if is_tcp else None,
        deferred=None if around.deferred is None else around.deferred.get(cookie, []),
        above=_above(row),
        tls=_tls(row) if row.number("record_adds") else None,
        so_zerocopy=bool(row.number("so_zerocopy")) if is_ignored else None,
        scatter_gather=bool(row.number("scatter_gather")) if is_ignored else None,
        before=_before(row) if is_tcp and row.number("before") else None,
        connections=1 + row.number("connected_again"),
        urgent_packets=row.number("urgent"),
        discarded_bytes=0 if is_tcp else row.number("unsent_earlier") + row.number("corked"),
        stopped_bytes=row.number("stopped") if "kfree_skb" in attached else None,
        faulted=bool(row.number("faulted")),
        whole=bool(row.number("locked")),
    )


def _link_of(row: Row, around: Surroundings) -> str | None:
    """The numbers of another network namespace's interfaces are not those of this one."""
    index = row.number("device")
    return around.link(index) if index and row.number("netns") == around.own_netns else None


def _ticks(row: Row) -> int:
    """From its beginning to its last call; the kernel's count of them wraps."""
    return (row.number("last_tick") - row.number("first_tick")) % 2**32


def _before(row: Row) -> Before:
    return Before(
        unsent=row.number("unsent_before"),
        unacked=row.number("unacked_before"),
        unread=row.number("unread_before"),
        missed=row.number("came_missed"),
        was_sending=bool(row.number("was_sending") & _WAS_IN_PROGRESS),
        was_reading=bool(row.number("was_reading") & _WAS_IN_PROGRESS),
    )


def _above(row: Row) -> str | None:
    if row.number("is_mptcp") or row.number("protocol") == MPTCP:
        return "mptcp"
    return "ulp" if row.number("has_protocol_above") else None


# linux/tls.h: versions, and ciphers.
_VERSIONS = {0x0303: "1.2", 0x0304: "1.3"}
_CIPHERS = {
    51: "AES-GCM-128", 52: "AES-GCM-256", 53: "AES-CCM-128", 54: "ChaCha20-Poly1305", 55: "SM4-GCM", 56: "SM4-CCM",
    57: "ARIA-GCM-128", 58: "ARIA-GCM-256",
}  # fmt: skip


def _tls(row: Row) -> Tls:
    version, cipher = row.number("tls_version"), row.number("tls_cipher")
    return Tls(
        version=_VERSIONS.get(version, f"{version:#06x}"),
        cipher=_CIPHERS.get(cipher, str(cipher)),
        record_adds=row.number("record_adds"),
        records_sent=row.number("records_out"),
        records_read=row.number("records_in"),
    )


def endpoint(row: Row, side: str) -> str:
    """Address and port, as in "127.0.0.1:80" and "[::1]:80"."""
    data, port = row.data(f"{side}_address"), row.number(f"{side}_port")
    if row.number("family") == _AF_INET6:
        return f"[{inet_ntop(AF_INET6, data)}]:{port}"
    return f"{inet_ntop(AF_INET, data[:4])}:{port}"


def sent_by_way(counters: Counters, *, is_udp: bool) -> dict[str, Transfer]:
    """What send calls handed over, by way.

    For UDP the packets decide: where the device cannot checksum, the kernel copies a zero-copy send at once and only
    its notification says so (__ip_append_data: uarg->zerocopy = 0).
    """
    found = _transfers(counters, "sent", SEND_WAYS)
    flagged = counters["left_zerocopy"] + counters["left_mixed"]
    if is_udp and not flagged and (copied := found.pop("zerocopy", None)):
        found["zerocopy_ignored"] = _added(found.get("zerocopy_ignored"), copied)
    return found


def read_by_way(counters: Counters, by_functions: bool) -> dict[str, Transfer]:
    """What was taken from the socket, by way; what TCP_ZEROCOPY_RECEIVE could not map was copied."""
    found = _transfers(counters, "read", READ_WAYS)
    too_small = copybuf(counters, by_functions)
    if not by_functions and (moved := found.pop("mapped", None)) and moved.bytes > too_small:
        found["mapped"] = Transfer(calls=moved.calls, bytes=moved.bytes - too_small)
    if too_small:
        found["copy"] = _added(found.get("copy"), Transfer(bytes=too_small))
    return found


def copybuf(counters: Counters, by_functions: bool) -> int:
    """Bytes that TCP_ZEROCOPY_RECEIVE copied: by the function's own word, else what no read accounts for."""
    if by_functions:
        return counters["read_copybuf"]
    if not counters["read_mapped_calls"]:
        return 0
    return max(0, counters["copied_out"] - counters["read_copy_bytes"] - counters["read_peek_bytes"])


def _transfers(counters: Counters, prefix: str, ways: tuple[str, ...]) -> dict[str, Transfer]:
    pairs = ((way, counters[f"{prefix}_{way}_calls"], counters[f"{prefix}_{way}_bytes"]) for way in ways)
    return {way: Transfer(calls=calls, bytes=number) for way, calls, number in pairs if calls}


def _added(one: Transfer | None, other: Transfer) -> Transfer:
    return other if one is None else Transfer(calls=one.calls + other.calls, bytes=one.bytes + other.bytes)


def packets(counters: Counters, prefix: str) -> Packets:
    """Payload that left or came; the default itself where there was none, which files leave out."""
    if not counters[f"{prefix}_packets"]:
        return NO_PACKETS
    return Packets(**{name: counters[f"{prefix}_{name}"] for name in Packets.__struct_fields__})


def refused(counters: Counters, enobufs_after: int | None = None) -> Refused:
    """Send calls that returned an error; the default itself where there were none, which files leave out."""
    if not any(counters[f"refused_{name}"] for name in ("eagain", "enobufs", "other")):
        return NOT_REFUSED
    out_of_memory = counters["refused_enobufs"]
    # msg_zerocopy_alloc() takes the memory of a notification from optmem_max; nothing else of TCP returns it.
    zerocopy = counters["sent_zerocopy_calls"] and out_of_memory
    return Refused(
        eagain=counters["refused_eagain"],
        enobufs=out_of_memory,
        other=counters["refused_other"],
        limit="net.core.optmem_max" if zerocopy else None,
        enobufs_after=enobufs_after if out_of_memory else None,
    )


def completions(
    counters: Counters, notified: tuple[int, int] | None, *, from_its_first: bool = False
) -> Completions | None:
    """Notifications of zero-copy sends; None of a socket that asked for none.

    Args:
        notified: Those of io_uring, and of these the copied ones.
        from_its_first: The socket was watched from its first send on. Then what its program took was posted, whether or
            not the kernel ran the program of ours that sees it (tracer/books/silent_skips.py).
    """
    posted, copied = notified or (0, 0)
    taken, taken_copied = (counters["reaped"], counters["reaped_copied"]) if from_its_first else (0, 0)
    if not (posted or counters["posted"] or counters["sent_zerocopy_calls"] or counters["sent_uring_zerocopy_calls"]):
        return None
    by_queue = counters["sent_zerocopy_calls"] or counters["posted"]
    return Completions(
        total=max(counters["posted"], taken) + posted,
        copied=max(counters["posted_copied"], taken_copied) + copied,
        reaped=counters["reaped"] if by_queue else None,
        reaped_copied=counters["reaped_copied"] if by_queue else None,
        ranges=counters["ranges"] if by_queue else None,
        # io_uring's sends are told apart by their notifications alone: nobody counted how many were out.
        most_outstanding=counters["most_outstanding"] if by_queue else None,
    )


def tcp_state(counters: Counters) -> TcpState:
    """TCP's own books."""
    return TcpState(**{name: counters[f"tcp_{name}"] for name in TcpState.__struct_fields__})


def deferred_by_cookie(deferred: Deferred) -> dict[int, list[DeferredCopy]]:
    """Copies after the send call, of each socket, the greatest first."""
    found: defaultdict[int, list[DeferredCopy]] = defaultdict(list)
    for (cookie, caller), (events, number) in sorted(deferred.items(), key=lambda item: -item[1][1]):
        found[cookie].append(DeferredCopy(caller=caller, events=events, bytes=number))
    return found


def deferred_in_all(deferred: Deferred) -> list[DeferredCopy]:
    """The same over all sockets, by caller."""
    events: defaultdict[str, int] = defaultdict(int)
    copied: defaultdict[str, int] = defaultdict(int)
    for (_, caller), (times, number) in deferred.items():
        events[caller] += times
        copied[caller] += number
    callers = sorted(copied, key=lambda caller: -copied[caller])
    return [DeferredCopy(caller=caller, events=events[caller], bytes=copied[caller]) for caller in callers]


def totals_of(
    counters: Counters, sockets: list[Socket], unlisted: bool, by_functions: bool, attached: frozenset[str],
    deferred: Deferred | None, notified: Mapping[int, tuple[int, int]],
) -> Totals:  # fmt: skip
    """Sums over all sockets: of what is listed, which knows UDP from TCP; of the bare counters where some are not."""
    posted, copied = (sum(counts[at] for counts in notified.values()) for at in (0, 1))
    sent = sent_by_way(counters, is_udp=False) if unlisted else _summed(socket.sent for socket in sockets)
    read = read_by_way(counters, by_functions) if unlisted else _summed(socket.read for socket in sockets)
    return Totals(
        sent=sent,
        read=read,
        ciphered_sent_bytes=sum(map(ciphered_of_sent, sockets)),
        ciphered_read_bytes=sum(map(ciphered_of_read, sockets)),
        left=packets(counters, "left"),
        came=packets(counters, "came"),
        refused=refused(counters),
        completions=_completions_in_all(counters, (posted, copied), [] if unlisted else sockets),
        consumed_bytes=counters["consumed"] if "tcp_rcv_space_adjust" in attached else None,
        copied_out_bytes=counters["copied_out"] if "skb_copy_datagram_iovec" in attached else None,
        dropped_bytes=counters["dropped_out"] if "kfree_skb" in attached else None,
        deferred=None if deferred is None else deferred_in_all(deferred),
    )


def _completions_in_all(counters: Counters, notified: tuple[int, int], listed: list[Socket]) -> Completions | None:
    """The most outstanding at any socket, because a sum says nothing; None where some sockets are not listed."""
    done = completions(counters, notified)
    if done is None:
        return None
    found = [one.completions for one in listed if one.completions is not None]
    if not found:
        return msgspec.structs.replace(done, most_outstanding=None)
    most = [one.most_outstanding for one in found if one.most_outstanding is not None]
    return msgspec.structs.replace(
        done, total=sum(one.total for one in found), copied=sum(one.copied for one in found),
        most_outstanding=max(most, default=None),
    )  # fmt: skip


def _summed(transfers: Iterable[Mapping[str, Transfer]]) -> dict[str, Transfer]:
    found: dict[str, Transfer] = {}
    for one in transfers:
        for way, transfer in one.items():
            found[way] = _added(found.get(way), transfer)
    return found
