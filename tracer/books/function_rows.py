"""Names of what the function observer counts, and which probe points each rests on.

A row whose points are not all attached is not in the observation: unknown, not zero.
"""

from __future__ import annotations

# In the order of `enum row` of bpf/functions.bpf.c: tally name -> symbols that must be attached for it to be known.
ROWS: dict[str, tuple[str, ...]] = {
    "tcp_sendmsg_locked:return": ("tcp_sendmsg_locked",),
    "__check_object_size:send": ("__check_object_size", "tcp_sendmsg_locked"),
    "skb_zerocopy_iter_stream:return": ("skb_zerocopy_iter_stream", "tcp_sendmsg_locked"),
    "skb_splice_from_iter:return": ("skb_splice_from_iter", "tcp_sendmsg_locked"),
    "do_tcp_sendpages:return": ("do_tcp_sendpages",),
    "get_user_pages_fast:return": ("get_user_pages_fast", "tcp_sendmsg_locked"),
    "mm_account_pinned_pages:entry": ("mm_account_pinned_pages", "tcp_sendmsg_locked"),
    "__tcp_transmit_skb:entry": ("__tcp_transmit_skb",),
    "tcp_retransmit_skb:tracepoint": ("tcp_retransmit_skb",),
    "net_dev_start_xmit:payload": ("net_dev_start_xmit",),
    "net_dev_start_xmit:wire": ("net_dev_start_xmit",),
    "net_dev_start_xmit:zerocopy": ("net_dev_start_xmit",),
    "skb_copy_ubufs:return": ("skb_copy_ubufs", "skb_zerocopy_iter_stream"),
    "skb_copy_bits:segment": ("skb_copy_bits", "skb_segment"),
    "__pskb_pull_tail:linearize": ("__pskb_pull_tail",),
    "__pskb_pull_tail:pull": ("__pskb_pull_tail",),
    "skb_copy_bits:entry": ("skb_copy_bits",),
    "swiotlb_map:wire": ("swiotlb_map", "dma_map_page_attrs", "net_dev_start_xmit", "net_dev_xmit"),
    "swiotlb_map:payload": ("swiotlb_map", "dma_map_page_attrs", "net_dev_start_xmit", "net_dev_xmit"),
    "dma_map_page_attrs:wire": ("dma_map_page_attrs", "net_dev_start_xmit", "net_dev_xmit"),
    "dma_map_page_attrs:payload": ("swiotlb_map", "dma_map_page_attrs", "net_dev_start_xmit", "net_dev_xmit"),
    "__msg_zerocopy_callback:zerocopy": ("__msg_zerocopy_callback", "skb_zerocopy_iter_stream"),
    "__msg_zerocopy_callback:copied": ("__msg_zerocopy_callback", "skb_zerocopy_iter_stream"),
    "tcp_recvmsg_locked:return": ("tcp_recvmsg_locked",),
    "__check_object_size:receive": ("__check_object_size", "tcp_recvmsg_locked"),
    "simple_copy_to_iter:entry": ("simple_copy_to_iter", "tcp_recvmsg_locked"),
    "tcp_splice_read:return": ("tcp_splice_read",),
    "skb_splice_bits:entry": ("skb_splice_bits",),
    "_copy_from_iter:breakpoint": ("_copy_from_iter", "tcp_sendmsg_locked"),
    "_copy_to_iter:breakpoint": ("_copy_to_iter", "tcp_recvmsg_locked"),
    "__check_object_size:any": ("__check_object_size",),
}

# Rows whose pages are counted.
ROWS_WITH_PAGES = frozenset({"get_user_pages_fast:return", "mm_account_pinned_pages:entry"})
