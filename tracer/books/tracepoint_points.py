"""Where the tracepoint observer looks at packets, and the states it tells apart; the C enums are made from this.

A tally is named "point:state".
"""

from __future__ import annotations

from enum import StrEnum


class Point(StrEnum):
    """A place on the packets' way, named after what is attached there.

    Args:
        handler: Function of bpf/tracepoints.bpf.c.
        counts_pages: Page references are counted there too.
    """

    handler: str
    counts_pages: bool

    def __new__(cls, name: str, handler: str, counts_pages: bool = False) -> Point:
        point = str.__new__(cls, name)
        point._value_ = name
        point.handler, point.counts_pages = handler, counts_pages
        return point

    EGRESS = "cgroup_egress", "on_egress", True
    INGRESS = "cgroup_ingress", "on_ingress"
    XMIT = "net_dev_start_xmit", "on_xmit"
    COPY_OUT = "skb_copy_datagram_iovec", "on_copy_out"
    RETRANSMIT = "tcp_retransmit_skb", "on_retransmit", True

    @property
    def is_cgroup(self) -> bool:
        """A program of the workload's cgroup sees it; else a raw tracepoint."""
        return self.startswith("cgroup_")


class State(StrEnum):
    """What a packet's payload is made of."""

    COPIED = "copied"
    ZEROCOPY = "zerocopy"
    MIXED = "mixed"
    LINEAR = "linear"


STATES_WITH_PAGES = frozenset({State.ZEROCOPY, State.MIXED})


def tally_name(point: Point, state: State) -> str:
    """The tally of packets in one state at one point."""
    return f"{point}:{state}"
