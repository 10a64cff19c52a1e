"""The tracepoint observer: where the payload was copied, inferred from skb state along its way.

It needs no function probe, so it works where kprobes and fentry are forbidden: cgroup_skb programs on the workload's
own cgroup, and raw tracepoints.
"""

from __future__ import annotations

from typing import Any

from tracer.books.tracepoint_entries import COPY_OUT, EGRESS, INGRESS, RETRANSMIT, STATES, XMIT
from tracer.model import Observation, Tally
from tracer.observers.flow import Flow
from tracer.observers.prepared import Prepared, Source
from tracer.observers.program import Program, prepare

_PROGRAM = "tracepoints.bpf.c"

# In the order of `enum point` of bpf/tracepoints.bpf.c; STATES is in the order of `enum skb_state`.
_POINTS = {
    EGRESS: "on_egress",
    INGRESS: "on_ingress",
    XMIT: "on_xmit",
    COPY_OUT: "on_copy_out",
    RETRANSMIT: "on_retransmit",
}
_CGROUP_POINTS = frozenset({EGRESS, INGRESS})
_POINTS_WITH_PAGES = frozenset({EGRESS, RETRANSMIT})
_STATES_WITH_PAGES = frozenset({"zerocopy", "mixed"})


def prepare_program(programs: dict[str, Any]) -> None:
    """Compile and load the program for a child of this process.

    Raises:
        MachineError: the kernel does not take it.
    """
    kinds = {name: "CGROUP_SKB" if point in _CGROUP_POINTS else "RAW_TRACEPOINT" for point, name in _POINTS.items()}
    prepare(Source(_PROGRAM, (), ""), kinds, programs)


class TracepointObserver:
    """Compiles at once, counts between attach() and detach(), and counts only the flow's sockets."""

    name = "tracepoints"

    def __init__(self, flow: Flow, prepared: Prepared | None = None) -> None:
        # On a device's way the driver is the last that sees the packet, else the receiver's TCP.
        last = XMIT if flow.leaves_machine else INGRESS
        self._attached = [EGRESS, last, RETRANSMIT] + ([] if flow.leaves_machine else [COPY_OUT])
        self._flow = flow
        self._program = Program(_PROGRAM, {}, prepared=prepared)

    def attach(self) -> None:
        """Start to count.

        Raises:
            PrivilegeError: the kernel refuses this user.
            MachineError: a tracepoint or the cgroup is missing.
        """
        self._program.clear("tallies")
        self._program.write("flows", **self._flow.watched())
        for point in self._attached:
            if point in _CGROUP_POINTS:
                self._program.attach_cgroup(self._flow.cgroup, point, _POINTS[point])
            else:
                self._program.attach_raw_tracepoint(point, _POINTS[point])

    def detach(self) -> Observation:
        """Stop to count; what was counted."""
        self._program.detach()
        rows = iter(self._program.read_tallies("tallies", len(_POINTS) * len(STATES)))
        tallies = {}
        for point in _POINTS:
            for state in STATES:
                events, size, pages = next(rows)
                has_pages = point in _POINTS_WITH_PAGES and state in _STATES_WITH_PAGES
                if point in self._attached:
                    tally = Tally(events=events, bytes=size, pages=pages if has_pages else None)
                    tallies[f"{point}:{state}"] = tally
        return Observation(
            observer="tracepoints",
            tallies=tallies,
            attached={point: "cgroup" if point in _CGROUP_POINTS else "tracepoint" for point in self._attached},
            lost=self._program.skipped_runs(),
        )

    def close(self) -> None:
        """Free the program; safe to call twice."""
        self._program.close()
