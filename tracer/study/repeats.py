"""How noisy the machine was: each mode over itself. Pure."""

from __future__ import annotations

import msgspec

from tracer.study.intervals import Interval, side_of_one
from tracer.study.measurements import THROUGHPUT, Samples
from tracer.study.sweep_plan import Cell, Sweep


class Repeat(msgspec.Struct, frozen=True, kw_only=True):
    """Throughput of one mode over itself, measured under two labels.

    Args:
        clean: The interval holds 1; None where there are too few repetitions for one.
    """

    mode: str
    size: int
    threads: int
    ratio: Interval | None
    clean: bool | None


def repeats(sweep: Sweep) -> list[Repeat]:
    """The A/A ratios; empty unless the sweep is an A/A check."""
    plan = sweep.manifest.plan
    if not plan.same_mode_twice:
        return []
    throughput = Samples(sweep.runs, THROUGHPUT)
    found = []
    for mode in plan.modes:
        for size in plan.sizes:
            for threads in plan.threads:
                ratio = throughput.ratio(Cell(f"{mode} A", size, threads), Cell(f"{mode} B", size, threads))
                side = side_of_one(ratio)
                clean = None if side is None else side == 0
                found.append(Repeat(mode=mode, size=size, threads=threads, ratio=ratio, clean=clean))
    return found
