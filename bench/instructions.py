"""What watching costs in instructions: in a lab guest whose clock is an instruction counter (QEMU's -icount).

One emulated processor and one nanosecond an instruction: the time of a pass is the number of instructions that the
whole guest executed in it. No noise of this machine reaches that count, so it is a gauge for regressions. It is no
time: a `rep movsb` counts one instruction a byte, and a cache miss none.

A pass begins with first touches and first page faults, and the bare one is the first; what a message takes is therefore
the difference between a long and a short run, by the messages that the long one sends more.
"""

from __future__ import annotations

import argparse
import statistics
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from tracer.lab import kernels, opening
from tracer.model import Experiment, ObserverChoice, Recording, Workload
from tracer.runs import warming
from tracer.runs.in_lab import record

MODES, SIZES = ("twocopy", "onecopy", "zerocopy"), (1024, 4096, 16384, 65536)
SHORT, LONG = 503, 4003


class Cost(NamedTuple):
    """Instructions a message."""

    bare: float
    observed: float


def elapsed_ns(workload: Workload | None) -> float:
    """Of the whole guest, sender and receiver: a nanosecond is an instruction."""
    if workload is None:
        raise SystemExit("the pass in the lab was not finished")
    return workload.elapsed_s * 1e9


def cost_of(kernel: str, mode: str, size: int, observer: ObserverChoice) -> Cost:
    """Of one long run and one short one, each in a guest of its own whose clock counts instructions."""
    short, long = (
        _counted(Experiment(mode=mode, size=size, messages=messages, observer=observer, lab=kernel), kernel)
        for messages in (SHORT, LONG)
    )
    bare = elapsed_ns(long.workload) - elapsed_ns(short.workload)
    observed = elapsed_ns(long.observed) - elapsed_ns(short.observed)
    return Cost(bare / (LONG - SHORT), observed / (LONG - SHORT))


def _counted(experiment: Experiment, kernel: str) -> Recording:
    with opening.guest(warming.wanted(kernel, counting=True), lambda _: None) as guest:
        return record(experiment, lambda _: None, there=guest)


def spread(values: list[float]) -> str:
    """Median and range."""
    return f"{statistics.median(values):,.0f} ({min(values):,.0f} to {max(values):,.0f})"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--kernel", default=kernels.default(), choices=kernels.names())
    parser.add_argument("--observer", default="functions", choices=["functions", "tracepoints", "all"])
    parser.add_argument("--modes", nargs="+", default=MODES, choices=MODES)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    given = parser.parse_args()
    told = f"median (range) of {given.repetitions}"
    table = Table(title=f"Instructions a message, {given.observer}, lab kernel {given.kernel}, lo: {told}")
    for heading in ("mode", "size", "bare", "observed", "watching adds", "ratio"):
        table.add_column(heading, justify="left" if heading == "mode" else "right")
    for mode in given.modes:
        for size in given.sizes:
            observer = ObserverChoice(given.observer)
            costs = [cost_of(given.kernel, mode, size, observer) for _ in range(given.repetitions)]
            bare, observed = [cost.bare for cost in costs], [cost.observed for cost in costs]
            added = [cost.observed - cost.bare for cost in costs]
            ratio = statistics.median(cost.observed / cost.bare for cost in costs)
            table.add_row(mode, f"{size:,} B", spread(bare), spread(observed), spread(added), f"{ratio:.3f}")
    Console(width=130).print(table)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
