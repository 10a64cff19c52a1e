"""What the function observer counts: one table, of which `enum row` of bpf/functions.bpf.c is made.

A row whose probe points are not all attached is not in the observation: unknown, not zero.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum


class Row(StrEnum):
    """The name in C, and the name of the tally: "symbol:aspect"."""

    SEND_RETURN = "tcp_sendmsg_locked:return"
    DATAGRAM_SENT = "udp_sendmsg:return"
    CHECK_SEND = "__check_object_size:send"
    ZEROCOPY_STREAM = "skb_zerocopy_iter_stream:return"
    DATAGRAM_PINNED = "__zerocopy_sg_from_iter:entry"
    SPLICE_FROM_ITER = "skb_splice_from_iter:return"
    SENDPAGES = "do_tcp_sendpages:return"
    USER_PAGES = "get_user_pages_fast:return"
    ACCOUNTED = "mm_account_pinned_pages:entry"
    TRANSMIT = "__tcp_transmit_skb:entry"
    DATAGRAM_TRANSMIT = "ip_send_skb:entry"
    RETRANSMIT = "tcp_retransmit_skb:tracepoint"
    XMIT_PAYLOAD = "net_dev_start_xmit:payload"
    XMIT_UNOWNED = "net_dev_start_xmit:unowned"
    XMIT_WIRE = "net_dev_start_xmit:wire"
    XMIT_LINEAR = "net_dev_start_xmit:linear"
    XMIT_ZEROCOPY = "net_dev_start_xmit:zerocopy"
    COPY_UBUFS = "skb_copy_ubufs:return"
    SEGMENT_COPY = "skb_copy_bits:segment"
    LINEARIZE = "__pskb_pull_tail:linearize"
    CHECKSUM_COPY = "__pskb_pull_tail:checksum"
    PULL = "__pskb_pull_tail:pull"
    FRAGMENT_COPY = "skb_copy_bits:fragment"
    WHOLE_COPY = "skb_copy_bits:whole"
    COPY_AGAIN = "skb_copy_bits:again"
    COPY_BITS = "skb_copy_bits:entry"
    BOUNCE_WIRE = "swiotlb_map:wire"
    BOUNCE = "swiotlb_map:payload"
    DMA_WIRE = "dma_map_page_attrs:wire"
    DMA = "dma_map_page_attrs:payload"
    COMPLETION_ZEROCOPY = "__msg_zerocopy_callback:zerocopy"
    COMPLETION_COPIED = "__msg_zerocopy_callback:copied"
    RECEIVE_RETURN = "tcp_recvmsg_locked:return"
    DATAGRAM_READ = "udp_recvmsg:return"
    CHECK_RECEIVE = "__check_object_size:receive"
    COPY_TO_ITER = "simple_copy_to_iter:entry"
    SPLICE_READ = "tcp_splice_read:return"
    SPLICE_BITS = "skb_splice_bits:entry"
    ZEROCOPY_RECEIVE_MAPPED = "tcp_zerocopy_receive:mapped"
    ZEROCOPY_RECEIVE_COPIED = "tcp_zerocopy_receive:copied"
    SOCKET_SENT = "inet_sendmsg:return"
    SOCKET_SPLICED = "inet_sendmsg:spliced"
    SOCKET_SENDPAGE = "inet_sendpage:return"
    GIVEN_IN_PLACE = "sk_msg_zerocopy_from_iter:return"
    ENCRYPTED = "crypto_aead_encrypt:entry"
    DECRYPTED = "crypto_aead_decrypt:entry"
    SOCKET_READ = "inet_recvmsg:return"
    BREAK_FROM_ITER = "_copy_from_iter:breakpoint"
    BREAK_TO_ITER = "_copy_to_iter:breakpoint"
    CHECK_ANY = "__check_object_size:any"

    @property
    def symbol(self) -> str:
        """The kernel function or tracepoint at which it is counted."""
        return self.partition(":")[0]

    @property
    def needs(self) -> tuple[str, ...]:
        """The symbols that must be attached for it to be known; "a|b" is one of them."""
        return (self.symbol, *_NEEDS_BESIDES.get(self, ()))

    def is_known(self, attached: Collection[str]) -> bool:
        """Whether what it needs is among these symbols."""
        return all(any(symbol in attached for symbol in either.split("|")) for either in self.needs)


_INSIDE_SEND = (
    Row.CHECK_SEND, Row.ZEROCOPY_STREAM, Row.SPLICE_FROM_ITER, Row.USER_PAGES, Row.ACCOUNTED, Row.BREAK_FROM_ITER,
)  # fmt: skip
_INSIDE_RECEIVE = (Row.CHECK_RECEIVE, Row.COPY_TO_ITER, Row.BREAK_TO_ITER)
_BY_UBUF = (Row.COPY_UBUFS, Row.COMPLETION_ZEROCOPY, Row.COMPLETION_COPIED)
_INSIDE_DRIVER = (Row.BOUNCE_WIRE, Row.BOUNCE, Row.DMA_WIRE, Row.DMA)
_NEEDS_BESIDES: dict[Row, tuple[str, ...]] = {
    **dict.fromkeys(_INSIDE_SEND, ("tcp_sendmsg_locked|udp_sendmsg|inet_sendmsg",)),
    **dict.fromkeys(_INSIDE_RECEIVE, ("tcp_recvmsg_locked|udp_recvmsg|inet_recvmsg",)),
    # Kernel TLS has no zero-copy sends: there none of these can be a notification's.
    **dict.fromkeys(_BY_UBUF, ("skb_zerocopy_iter_stream|msg_zerocopy_realloc|sk_msg_zerocopy_from_iter",)),
    Row.DATAGRAM_PINNED: ("udp_sendmsg",),
    **dict.fromkeys((Row.GIVEN_IN_PLACE, Row.ENCRYPTED), ("inet_sendmsg",)),
    Row.DECRYPTED: ("inet_recvmsg",),
    **dict.fromkeys(_INSIDE_DRIVER, ("dma_map_page_attrs", "net_dev_start_xmit", "net_dev_xmit")),
    # Without it the bounced bytes would be counted as the device's.
    Row.DMA: ("swiotlb_map", "net_dev_start_xmit", "net_dev_xmit"),
    Row.SEGMENT_COPY: ("skb_segment",),
    # Without these its bytes would be taken for those of a device without scatter-gather.
    **dict.fromkeys((Row.LINEARIZE, Row.CHECKSUM_COPY), ("skb_segment", "skb_checksum_help")),
    **dict.fromkeys((Row.FRAGMENT_COPY, Row.WHOLE_COPY, Row.COPY_AGAIN), ("skb_segment", "__pskb_pull_tail")),
    **dict.fromkeys(
        (Row.XMIT_PAYLOAD, Row.XMIT_UNOWNED, Row.XMIT_WIRE, Row.XMIT_LINEAR, Row.XMIT_ZEROCOPY), ("net_dev_xmit",)
    ),
}

# Rows whose pages are counted.
ROWS_WITH_PAGES = frozenset({Row.USER_PAGES, Row.ACCOUNTED})
