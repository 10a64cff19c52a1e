"""The tracepoint observer: where the payload was copied, inferred from skb state along its way.

It needs no function probe, so it works where kprobes and fentry are forbidden: cgroup_skb programs on the workload's
own cgroup, and raw tracepoints.
"""

from __future__ import annotations

import itertools
from collections.abc import Container, Sequence

from tracer.books.drops import TRACEPOINT as DROP
from tracer.books.tracepoint_points import STATES_WITH_PAGES, Point, State, tally_name
from tracer.model import Observation, Tally
from tracer.observers.drops import HANDLER, PLACES, TABLE, attach_drops, read_drops
from tracer.observers.flow import Flow
from tracer.observers.program import Program, Source, prepare

_PROGRAM = "tracepoints.bpf.c"

DEFINES: dict[str, int | str] = {
    "NT_POINTS": ",".join(point.name for point in Point),
    "NT_STATES": ",".join(state.name for state in State),
    "NT_PLACES": PLACES,
}
"""The tables' order, which the program's text leaves to its observer."""


def prepare_program() -> None:
    """Compile and load the program for a child of this process.

    Raises:
        MachineError: the kernel does not take it.
    """
    kinds = {point.handler: "CGROUP_SKB" if point.is_cgroup else "RAW_TRACEPOINT" for point in Point}
    flags = tuple(f"-D{name}={value}" for name, value in DEFINES.items())
    prepare(Source(_PROGRAM, flags, ""), {**kinds, HANDLER: "RAW_TRACEPOINT"})


def tallies_of(sums: Sequence[tuple[int, int, int]], attached: Container[Point]) -> dict[str, Tally]:
    """The attached points' tallies, from (events, bytes, pages) in the order of the tables."""
    found = {}
    for (point, state), (events, size, pages) in zip(itertools.product(Point, State), sums, strict=True):
        if point in attached:
            has_pages = point.counts_pages and state in STATES_WITH_PAGES
            found[tally_name(point, state)] = Tally(events=events, bytes=size, pages=pages if has_pages else None)
    return found


class TracepointObserver:
    """Compiles at once, counts between attach() and detach(), and counts only the flow's sockets."""

    name = "tracepoints"

    def __init__(self, flow: Flow) -> None:
        # On a device's way the driver is the last that sees the packet, else the receiver's TCP.
        last = Point.XMIT if flow.leaves_machine else Point.INGRESS
        self._attached = [Point.EGRESS, last, Point.RETRANSMIT, *([] if flow.leaves_machine else [Point.COPY_OUT])]
        self._flow = flow
        self._program = Program(_PROGRAM, DEFINES)

    def attach(self) -> None:
        """Start to count.

        Raises:
            PrivilegeError: the kernel refuses this user.
            MachineError: a tracepoint or the cgroup is missing.
        """
        self._program.clear("tallies", TABLE)
        self._program.write("flows", **self._flow.watched())
        for point in self._attached:
            if point.is_cgroup:
                self._program.attach_cgroup(self._flow.cgroup, point, point.handler)
            else:
                self._program.attach_raw_tracepoint(point, point.handler)
        attach_drops(self._program)

    def detach(self) -> Observation:
        """Stop to count; what was counted."""
        self._program.detach()
        sums = self._program.read_tallies("tallies", len(Point) * len(State))
        ways = {point.value: "cgroup" if point.is_cgroup else "tracepoint" for point in self._attached}
        return Observation(
            observer="tracepoints",
            tallies=tallies_of(sums, self._attached) | read_drops(self._program),
            attached={**ways, DROP: "tracepoint"},
            lost=self._program.skipped_runs(),
        )

    def close(self) -> None:
        """Free the program; safe to call twice."""
        self._program.close()
