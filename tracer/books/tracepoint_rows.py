"""What is counted of a link's packets: two tables, of which the enums in bpf/ are made.

There is one tally for each point and state of an skb, in that order.
"""

from __future__ import annotations

from enum import StrEnum


class Point(StrEnum):
    """Where packets are looked at: the name in C, and the name of what is attached there.

    AGAIN is what leaves IP and had left before, as its sequence numbers say; PARTLY_AGAIN, of packets that hold more
    than that.
    """

    EGRESS = "cgroup_egress"
    INGRESS = "cgroup_ingress"
    AGAIN = "cgroup_egress:again"
    PARTLY_AGAIN = "cgroup_egress:partly_again"
    XMIT = "net_dev_start_xmit"
    XMIT_UNOWNED = "net_dev_start_xmit:unowned"
    COPY_OUT = "skb_copy_datagram_iovec"


class SkbState(StrEnum):
    """What an skb's payload is made of, as bpf/sockets/states.h tells it."""

    COPIED = "copied"
    ZEROCOPY = "zerocopy"
    MIXED = "mixed"
    LINEAR = "linear"


def tally_name(point: Point, state: SkbState) -> str:
    """The name of a tally, "symbol:aspect"."""
    return f"{point}:{state}"


def spliced_name(point: Point) -> str:
    """The tally of packets whose pages are somebody's (page cache, pipe): there only where some passed."""
    return f"{point}:shared"
