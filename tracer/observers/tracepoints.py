"""The tracepoint observer: where the payload was copied, inferred from skb state along its way.

It needs no function probe, so it works where kprobes and fentry are forbidden: cgroup_skb programs on the workload's
own cgroup, and raw tracepoints.
"""

from __future__ import annotations

from tracer.books import drops
from tracer.books.tallies import total
from tracer.books.tracepoint_rows import Point, SkbState, tally_name
from tracer.model import Observation, Tally
from tracer.observers.drops import read_drops
from tracer.observers.flow import Flow
from tracer.observers.program import Program, prepare, source_of

_PROGRAM = "tracepoints.bpf.c"

_HANDLERS = {
    Point.EGRESS: "on_egress",
    Point.INGRESS: "on_ingress",
    Point.XMIT: "on_xmit",
    Point.COPY_OUT: "on_copy_out",
    Point.RETRANSMIT: "on_retransmit",
}
DEFINES: dict[str, int | str] = {
    "NT_POINTS": ",".join(Point.__members__),
    "NT_SKB_STATES": ",".join(SkbState.__members__),
}
_CGROUP_POINTS = frozenset({Point.EGRESS, Point.INGRESS})
_POINTS_WITH_PAGES = frozenset({Point.EGRESS, Point.RETRANSMIT})
_STATES_WITH_PAGES = frozenset({SkbState.ZEROCOPY, SkbState.MIXED})


def prepare_program() -> None:
    """Compile and load the program for a child of this process.

    Raises:
        MachineError: the kernel does not take it.
    """
    kinds = {name: "CGROUP_SKB" if point in _CGROUP_POINTS else "RAW_TRACEPOINT" for point, name in _HANDLERS.items()}
    kinds["on_drop"] = "RAW_TRACEPOINT"
    prepare(source_of(_PROGRAM, DEFINES), kinds)


class TracepointObserver:
    """Compiles at once, counts between attach() and detach(), and counts only the flow's sockets."""

    name = "tracepoints"

    def __init__(self, flow: Flow) -> None:
        # On a device's way the driver is the last that sees the packet, else the receiver's TCP.
        last = Point.XMIT if flow.leaves_machine else Point.INGRESS
        self._attached = [Point.EGRESS, last, Point.RETRANSMIT] + ([] if flow.leaves_machine else [Point.COPY_OUT])
        self._flow = flow
        self._program = Program(_PROGRAM, DEFINES)

    def attach(self) -> None:
        """Start to count.

        Raises:
            PrivilegeError: the kernel refuses this user.
            MachineError: a tracepoint or the cgroup is missing.
        """
        self._program.clear("tallies", "drops", "drops_lost")
        self._program.write("flows", **self._flow.watched())
        for point in self._attached:
            if point in _CGROUP_POINTS:
                self._program.attach_cgroup(self._flow.cgroup, point, _HANDLERS[point])
            else:
                self._program.attach_raw_tracepoint(point, _HANDLERS[point])
        self._program.attach_raw_tracepoint(drops.POINT, "on_drop")

    def detach(self) -> Observation:
        """Stop to count; what was counted."""
        self._program.detach()
        rows = [(point, state) for point in Point for state in SkbState]
        tallies = {}
        for (point, state), (events, size, pages) in zip(
            rows, self._program.read_tallies("tallies", len(rows)), strict=True
        ):
            has_pages = point in _POINTS_WITH_PAGES and state in _STATES_WITH_PAGES
            if point in self._attached:
                tally = Tally(events=events, bytes=size, pages=pages if has_pages else None)
                tallies[tally_name(point, state)] = tally
        tallies |= read_drops(self._program)
        return Observation(
            observer="tracepoints",
            tallies=tallies,
            attached={
                **{str(point): "cgroup" if point in _CGROUP_POINTS else "tracepoint" for point in self._attached},
                drops.POINT: "tracepoint",
            },
            lost=total(self._program.skipped_runs(), self._program.read_count("drops_lost")),
        )

    def close(self) -> None:
        """Free the program; safe to call twice."""
        self._program.close()
