"""What the function observer counts: one row each, in the order of its map. The C enum is made from this table.

A row whose points are not all attached is not in the observation: unknown, not zero.
"""

from __future__ import annotations

from enum import StrEnum


class Row(StrEnum):
    """A tally: its name in the C program, "symbol:aspect", and the other symbols that it rests on.

    Args:
        needs: Symbols that must be attached for the row to be known; the tally's own comes first.
    """

    needs: tuple[str, ...]

    def __new__(cls, tally: str, *others: str) -> Row:
        row = str.__new__(cls, tally)
        row._value_ = tally
        row.needs = (tally.partition(":")[0], *others)
        return row

    SEND_RETURN = "tcp_sendmsg_locked:return"
    CHECK_SEND = "__check_object_size:send", "tcp_sendmsg_locked"
    ZEROCOPY_STREAM = "skb_zerocopy_iter_stream:return", "tcp_sendmsg_locked"
    SPLICE_FROM_ITER = "skb_splice_from_iter:return", "tcp_sendmsg_locked"
    SENDPAGES = "do_tcp_sendpages:return"
    USER_PAGES = "get_user_pages_fast:return", "tcp_sendmsg_locked"
    ACCOUNTED = "mm_account_pinned_pages:entry", "tcp_sendmsg_locked"
    TRANSMIT = "__tcp_transmit_skb:entry"
    RETRANSMIT = "tcp_retransmit_skb:tracepoint"
    XMIT_PAYLOAD = "net_dev_start_xmit:payload", "net_dev_xmit"
    XMIT_WIRE = "net_dev_start_xmit:wire", "net_dev_xmit"
    XMIT_ZEROCOPY = "net_dev_start_xmit:zerocopy", "net_dev_xmit"
    XMIT_LINEAR = "net_dev_start_xmit:linear", "net_dev_xmit"
    COPY_UBUFS = "skb_copy_ubufs:return", "skb_zerocopy_iter_stream"
    SEGMENT_COPY = "skb_copy_bits:segment", "skb_segment", "__pskb_pull_tail"
    LINEARIZE = "__pskb_pull_tail:linearize", "skb_segment", "skb_checksum_help"
    LINEARIZE_CHECKSUM = "__pskb_pull_tail:checksum", "skb_segment", "skb_checksum_help"
    PULL = "__pskb_pull_tail:pull", "skb_segment"
    COPY_WHOLE = "skb_copy_bits:whole", "skb_segment", "__pskb_pull_tail"
    COPY_BITS = "skb_copy_bits:entry", "skb_segment"
    BOUNCE_WIRE = "swiotlb_map:wire", "dma_map_page_attrs", "net_dev_start_xmit", "net_dev_xmit"
    BOUNCE = "swiotlb_map:payload", "dma_map_page_attrs", "net_dev_start_xmit", "net_dev_xmit"
    DMA_WIRE = "dma_map_page_attrs:wire", "net_dev_start_xmit", "net_dev_xmit"
    DMA = "dma_map_page_attrs:payload", "swiotlb_map", "net_dev_start_xmit", "net_dev_xmit"
    COMPLETION_ZEROCOPY = "__msg_zerocopy_callback:zerocopy", "skb_zerocopy_iter_stream"
    COMPLETION_COPIED = "__msg_zerocopy_callback:copied", "skb_zerocopy_iter_stream"
    RECEIVE_RETURN = "tcp_recvmsg_locked:return"
    CHECK_RECEIVE = "__check_object_size:receive", "tcp_recvmsg_locked"
    COPY_TO_ITER = "simple_copy_to_iter:entry", "tcp_recvmsg_locked"
    SPLICE_READ = "tcp_splice_read:return"
    SPLICE_BITS = "skb_splice_bits:entry"
    BREAK_FROM_ITER = "_copy_from_iter:breakpoint", "tcp_sendmsg_locked"
    BREAK_TO_ITER = "_copy_to_iter:breakpoint", "tcp_recvmsg_locked"
    CHECK_ANY = "__check_object_size:any"


ROWS_WITH_PAGES = frozenset({Row.USER_PAGES, Row.ACCOUNTED})
"""Rows whose pages are counted."""


def caller_tally(symbol: str) -> str:
    """Tally of the deferred copies that one function asked for."""
    return f"{CALLER}{symbol}"


CALLER = "skb_copy_ubufs:caller:"
