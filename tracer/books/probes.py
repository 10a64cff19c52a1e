"""The table of probe points: which kernel functions nettrace watches, what it counts there, and why.

A row that a kernel does not have, or does not let be probed, is left out before the program is loaded; its stage is
then unknown unless another row covers it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from tracer.model import Stage


class At(StrEnum):
    """Where in a function a probe point lies, or what else it is."""

    ENTRY = "entry"
    RETURN = "return"
    TRACEPOINT = "tracepoint"
    BREAKPOINT = "breakpoint"


class ProbePoint(NamedTuple):
    """One row.

    Args:
        symbol: Kernel function, or tracepoint.
        handler: Function of bpf/functions.bpf.c that counts there.
        stage: Stage that it locates bytes of; None where it serves attribution or a law.
        counts: How the bytes are counted.
        source: File of the kernel that the function is in.
        why: What the row is there for.
        transport: Of what payload it tells: "tcp", "udp", "tls" (kernel TLS over TCP); empty of any.
    """

    symbol: str
    at: At
    handler: str
    stage: Stage | None
    counts: str
    source: str
    why: str
    transport: str = ""


def _entry(
    symbol: str, handler: str, stage: Stage | None, counts: str, source: str, why: str, transport: str = ""
) -> ProbePoint:
    return ProbePoint(symbol, At.ENTRY, handler, stage, counts, source, why, transport)


def _return(
    symbol: str, handler: str, stage: Stage | None, counts: str, source: str, why: str, transport: str = ""
) -> ProbePoint:
    return ProbePoint(symbol, At.RETURN, handler, stage, counts, source, why, transport)


_TCP, _SKB, _DATAGRAM, _USERCOPY = "net/ipv4/tcp.c", "net/core/skbuff.c", "net/core/datagram.c", "mm/usercopy.c"
_SKMSG = "net/core/skmsg.c"
_UDP, _UDP6 = "net/ipv4/udp.c", "net/ipv6/udp.c"
_OF_TCP = frozenset(
    {
        "tcp_sendmsg_locked", "skb_zerocopy_iter_stream", "skb_splice_from_iter", "do_tcp_sendpages",
        "__tcp_transmit_skb", "tcp_retransmit_skb", "tcp_recvmsg_locked", "skb_splice_bits", "tcp_splice_read",
    }
)  # fmt: skip

_POINTS = (
    _entry("tcp_sendmsg_locked", "enter_sendmsg", None, "", _TCP, "marks the thread as inside the send call"),
    _return(
        "tcp_sendmsg_locked", "leave_sendmsg", None, "return value", _TCP, "the payload: left side of law L1"
    ),
    _entry(
        "__check_object_size", "enter_check_object", Stage.COPY_IN, "n, inside the send call", _USERCOPY,
        "runs before each copy_from_user of the send call; _copy_from_iter itself is notrace",
    ),
    ProbePoint(
        "_copy_from_iter", At.BREAKPOINT, "break_copy_from_iter", Stage.COPY_IN, "bytes, inside the send call",
        "lib/iov_iter.c", "the copy itself; notrace, so only a hardware breakpoint reaches it",
    ),
    _entry(
        "skb_zerocopy_iter_stream", "enter_zerocopy_stream", None, "", _SKB, "remembers whose ubuf_info it is"
    ),
    _return(
        "skb_zerocopy_iter_stream", "leave_zerocopy_stream", Stage.PIN, "return value", _SKB,
        "puts references to the sender's pages into the skb",
    ),
    _return(
        "get_user_pages_fast", "leave_get_user_pages", Stage.PIN, "pages returned, inside the send call", "mm/gup.c",
        "page references really taken",
    ),
    _entry(
        "mm_account_pinned_pages", "enter_account_pages", None, "size; pages = size / 4096 + 2", _SKB,
        "pages charged to RLIMIT_MEMLOCK: a worst case, shown beside the real ones",
    ),
    _return(
        "skb_splice_from_iter", "leave_splice_from_iter", Stage.SPLICE, "return value", _SKB,
        "puts page-cache or pipe pages into the skb",
    ),
    _entry("do_tcp_sendpages", "enter_sendpages", None, "", _TCP, "marks the thread; kernels before 6.5"),
    _return(
        "do_tcp_sendpages", "leave_sendpages", Stage.SPLICE, "return value", _TCP,
        "puts page-cache or pipe pages into the skb; kernels before 6.5",
    ),
    _entry(
        "__tcp_transmit_skb", "enter_transmit", None, "skb->len", "net/ipv4/tcp_output.c", "law L2: what TCP sends"
    ),
    ProbePoint(
        "tcp_retransmit_skb", At.TRACEPOINT, "on_retransmit", None, "skb->len", "include/trace/events/tcp.h",
        "retransmitted bytes, apart",
    ),
    ProbePoint(
        "net_dev_start_xmit", At.TRACEPOINT, "on_xmit", None, "skb->len - headers", "include/trace/events/net.h",
        "which skb this CPU's driver is handling; laws L2, L3, L5",
    ),
    ProbePoint(
        "net_dev_xmit", At.TRACEPOINT, "on_xmit_done", None, "", "include/trace/events/net.h",
        "the driver is done with that skb",
    ),
    ProbePoint(
        "kfree_skb", At.TRACEPOINT, "on_drop", Stage.DROPPED, "skb->len - headers, by reason",
        "include/trace/events/skb.h", "what this machine dropped on the way; explains what the laws miss",
    ),
    _entry("skb_copy_ubufs", "enter_copy_ubufs", None, "skb->data_len", _SKB, "what the deferred copy will copy"),
    _return(
        "skb_copy_ubufs", "leave_copy_ubufs", Stage.DEFERRED_COPY, "skb->data_len at entry, if it returns 0", _SKB,
        "copies pinned pages for a reader that must not hold them",
    ),
    _entry("skb_segment", "enter_segment", None, "", _SKB, "marks the CPU as segmenting"),
    _return("skb_segment", "leave_segment", None, "", _SKB, "ends the mark"),
    _entry("skb_checksum_help", "enter_checksum_help", None, "", "net/core/dev.c", "marks the CPU as checksumming"),
    _return("skb_checksum_help", "leave_checksum_help", None, "", "net/core/dev.c", "ends the mark"),
    _entry(
        "skb_copy_bits", "enter_copy_bits", Stage.LINEARIZE, "len, inside skb_segment or of a whole packet", _SKB,
        "segments for a device without scatter-gather; fragments, and packets that a qdisc changes",
    ),
    _entry(
        "__pskb_pull_tail", "enter_pull_tail", Stage.LINEARIZE, "delta, if it is all of data_len", _SKB,
        "linearizes for a device without scatter-gather, or to compute a checksum",
    ),
    _entry(
        "dma_map_page_attrs", "enter_dma_map", Stage.DMA, "size, to the device, without headers",
        "kernel/dma/mapping.c", "hands the bytes to the device",
    ),
    _entry(
        "swiotlb_map", "enter_swiotlb_map", Stage.BOUNCE, "size, to the device, without headers",
        "kernel/dma/swiotlb.c", "copies into the bounce buffer",
    ),
    _entry(
        "__msg_zerocopy_callback", "enter_completion", None, "uarg->bytelen", _SKB,
        "law L7 in bytes: one call for each merged range of sends",
    ),
    _entry("tcp_recvmsg_locked", "enter_recvmsg", None, "", _TCP, "marks the thread as inside the receive call"),
    _return("tcp_recvmsg_locked", "leave_recvmsg", None, "return value", _TCP, "law L6: what the reader got"),
    _entry(
        "simple_copy_to_iter", "enter_copy_to_iter", Stage.COPY_OUT, "bytes, inside the receive call", _DATAGRAM,
        "copies to the reader's buffer",
    ),
    ProbePoint(
        "_copy_to_iter", At.BREAKPOINT, "break_copy_to_iter", Stage.COPY_OUT, "bytes, inside the receive call",
        "lib/iov_iter.c", "the copy itself; notrace, so only a hardware breakpoint reaches it",
    ),
    _entry("skb_splice_bits", "enter_splice_bits", None, "tlen", _SKB, "bytes spliced to a pipe, not copied"),
    _entry("tcp_splice_read", "enter_splice_read", None, "", _TCP, "marks the thread as inside the receive call"),
    _return(
        "tcp_splice_read", "leave_splice_read", Stage.SPLICE_OUT, "return value", _TCP, "bytes spliced to a pipe"
    ),
    _entry(
        "tcp_zerocopy_receive", "enter_zerocopy_receive", None, "", _TCP, "marks the thread as inside the receive call"
    ),
    _return(
        "tcp_zerocopy_receive", "leave_zerocopy_receive", Stage.MAP_OUT, "length, and copybuf_len, that it tells", _TCP,
        "maps whole pages to the reader, and copies the rest",
    ),
)  # fmt: skip
_OF_UDP = (
    *(
        point
        for function, source in (("udp_sendmsg", _UDP), ("udpv6_sendmsg", _UDP6))
        for point in (
            _entry(function, "enter_sendmsg", None, "", source, "marks the thread as inside the send call", "udp"),
            _return(function, "leave_datagram_sendmsg", None, "return value", source, "the payload: law L1", "udp"),
        )
    ),
    _return(
        "msg_zerocopy_realloc", "leave_zerocopy_realloc", None, "", _SKB, "remembers whose ubuf_info it is", "udp"
    ),
    _entry(
        "__zerocopy_sg_from_iter", "enter_datagram_pinned", Stage.PIN, "length, inside the send call", _DATAGRAM,
        "puts references to the sender's pages into the skb", "udp",
    ),
    _entry(
        "ip_send_skb", "enter_ip_send", None, "skb->len - headers", "net/ipv4/ip_output.c", "law L2: what UDP sends",
        "udp",
    ),
    _entry(
        "ip6_send_skb", "enter_ip6_send", None, "skb->len - headers", "net/ipv6/ip6_output.c",
        "law L2: what UDP sends", "udp",
    ),
    *(
        point
        for function, source in (("udp_recvmsg", _UDP), ("udpv6_recvmsg", _UDP6))
        for point in (
            _entry(function, "enter_recvmsg", None, "", source, "marks the thread as inside the receive call", "udp"),
            _return(
                function, "leave_datagram_recvmsg", Stage.COPY_OUT, "return value", source,
                "what recv() copied to the reader", "udp",
            ),
        )
    ),
)  # fmt: skip

_TLS, _CRYPTO = "net/ipv4/af_inet.c", "crypto/aead.c"
_OF_TLS = (
    *(
        point
        for family in ("inet", "inet6")
        for point in (
            _entry(
                f"{family}_sendmsg", "enter_socket_sendmsg", None, "", _TLS, "marks the thread as inside the send call",
                "tls",
            ),
            _return(
                f"{family}_sendmsg", "leave_socket_sendmsg", Stage.SPLICE, "return value", _TLS,
                "the payload: law L1; with MSG_SPLICE_PAGES, pages that the cipher reads where they lie", "tls",
            ),
            _entry(
                f"{family}_recvmsg", "enter_socket_recvmsg", None, "", _TLS,
                "marks the thread as inside the receive call", "tls",
            ),
            _return(
                f"{family}_recvmsg", "leave_socket_recvmsg", None, "return value", _TLS, "law L6: what the reader got",
                "tls",
            ),
        )
    ),
    _entry("inet_sendpage", "enter_socket_sendpage", None, "", _TLS, "marks the thread; kernels before 6.5", "tls"),
    _return(
        "inet_sendpage", "leave_socket_sendpage", Stage.SPLICE, "return value", _TLS,
        "a page that the cipher reads where it lies; kernels before 6.5", "tls",
    ),
    _entry("sk_msg_zerocopy_from_iter", "enter_give_pages", None, "", _SKMSG, "remembers how many bytes", "tls"),
    _return(
        "sk_msg_zerocopy_from_iter", "leave_give_pages", Stage.PIN, "bytes at entry, if it returns 0", _SKMSG,
        "has the cipher read the sender's pages where they lie", "tls",
    ),
    _entry(
        "crypto_aead_encrypt", "enter_encrypt", Stage.ENCRYPT, "cryptlen, inside the send call", _CRYPTO,
        "reads the payload and writes a record", "tls",
    ),
    _return("crypto_aead_encrypt", "leave_cipher", None, "", _CRYPTO, "ends it: a cipher may call another", "tls"),
    _entry(
        "crypto_aead_decrypt", "enter_decrypt", Stage.DECRYPT, "cryptlen - tag, inside the receive call", _CRYPTO,
        "reads a record and writes the payload", "tls",
    ),
    _return("crypto_aead_decrypt", "leave_cipher", None, "", _CRYPTO, "ends it: a cipher may call another", "tls"),
)  # fmt: skip

# What of TCP's is watched where its payload is records: of the calls it sees those alone.
_OF_RECORDS = frozenset({"__tcp_transmit_skb", "tcp_retransmit_skb"})


def tells_of(point: ProbePoint, transport: str) -> bool:
    """Whether it is attached for payload of that transport."""
    return point.transport in ("", transport) or (transport == "tls" and point.symbol in _OF_RECORDS)


# Only what tells of a run's payload is attached: each takes a tenth of a second in the lab.
PROBE_POINTS = (
    *(point._replace(transport="tcp") if point.symbol in _OF_TCP else point for point in _POINTS),
    *_OF_UDP,
    *_OF_TLS,
)
