"""What the tracepoint observer counts: two tables, of which the enums in bpf/ are made.

There is one tally for each point and state of an skb, in that order.
"""

from __future__ import annotations

from enum import StrEnum


class Point(StrEnum):
    """Where packets are looked at: the name in C, and the name of what is attached there."""

    EGRESS = "cgroup_egress"
    INGRESS = "cgroup_ingress"
    XMIT = "net_dev_start_xmit"
    COPY_OUT = "skb_copy_datagram_iovec"
    RETRANSMIT = "tcp_retransmit_skb"


class SkbState(StrEnum):
    """What an skb's payload is made of, as bpf/nettrace.h tells it: the name in C, and in the tally's name."""

    COPIED = "copied"
    ZEROCOPY = "zerocopy"
    MIXED = "mixed"
    LINEAR = "linear"


def tally_name(point: Point, state: SkbState) -> str:
    """The name of a tally, "symbol:aspect"."""
    return f"{point}:{state}"
