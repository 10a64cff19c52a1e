"""The tracepoint observer: where the payload was copied, inferred from skb state at four raw tracepoints.

It needs no function probe, so it works where kprobes and fentry are forbidden.
"""

from __future__ import annotations

from tracer.model import Observation, Tally
from tracer.observers.flow import Flow
from tracer.observers.program import Program

# In the order of `enum point` and `enum skb_state` of bpf/tracepoints.bpf.c.
_POINTS = {
    "net_dev_start_xmit": "on_xmit",
    "netif_receive_skb": "on_receive",
    "skb_copy_datagram_iovec": "on_copy_out",
    "tcp_retransmit_skb": "on_retransmit",
}
_STATES = ("copied", "zerocopy", "mixed")
_POINTS_WITH_PAGES = frozenset({"net_dev_start_xmit", "tcp_retransmit_skb"})


class TracepointObserver:
    """Compiles at once, counts between attach() and detach(), and counts only the flow's sockets."""

    name = "tracepoints"

    def __init__(self, flow: Flow) -> None:
        self._program = Program("tracepoints.bpf.c", flow.defines())

    def attach(self) -> None:
        """Start to count.

        Raises:
            PrivilegeError: the kernel refuses this user.
            MachineError: a tracepoint is missing.
        """
        for tracepoint, function in _POINTS.items():
            self._program.attach_raw_tracepoint(tracepoint, function)

    def detach(self) -> Observation:
        """Stop to count; what was counted."""
        self._program.detach()
        rows = iter(self._program.read_tallies("tallies", len(_POINTS) * len(_STATES) + 1))
        tallies = {}
        for point in _POINTS:
            for state in _STATES:
                events, size, pages = next(rows)
                counts_pages = point in _POINTS_WITH_PAGES and state != "copied"
                tallies[f"{point}:{state}"] = Tally(events=events, bytes=size, pages=pages if counts_pages else None)
        events, size, _ = next(rows)
        tallies["net_dev_start_xmit:linear"] = Tally(events=events, bytes=size)
        return Observation(observer="tracepoints", tallies=tallies, lost=self._program.skipped_runs())

    def close(self) -> None:
        """Free the program; safe to call twice."""
        self._program.close()
