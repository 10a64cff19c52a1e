"""A finished sweep on the screen: medians with intervals, crossovers, and how noisy the machine was."""

from __future__ import annotations

from typing import Any

import msgspec
from rich.console import Console
from rich.text import Text

from tracer.reports.tables import make_table
from tracer.study.crossovers import crossovers
from tracer.study.measurements import DEMAND, LATENCY, QUANTITIES, THROUGHPUT, Samples
from tracer.study.repeats import repeats
from tracer.study.sweep_plan import Sweep
from tracer.units import format_size


def encode_sweep(sweep: Sweep) -> str:
    """One JSON document: manifest, medians, crossovers, A/A ratios."""
    medians = []
    for quantity in QUANTITIES:
        samples = Samples(sweep.runs, quantity)
        for cell in samples.cells():
            medians.append({
                "label": cell.label, "size": cell.size, "threads": cell.threads, "quantity": quantity.name,
                "source": samples.source, "interval": samples.interval(*cell),
            })  # fmt: skip
    document: dict[str, Any] = {
        **msgspec.to_builtins(sweep.manifest), "notes": sweep.notes, "medians": medians,
        "crossovers": crossovers(sweep), "same_mode_twice": repeats(sweep),
    }  # fmt: skip
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def print_sweep(sweep: Sweep, console: Console) -> None:
    """The tables of a sweep."""
    samples = [Samples(sweep.runs, quantity) for quantity in (THROUGHPUT, LATENCY, DEMAND)]
    columns = [one.quantity.short for one in samples]
    table = make_table(console, "mode", "size", "threads", *columns, right=("size", "threads", *columns))
    for cell in sweep.manifest.plan.cells():
        intervals = [one.interval(*cell) for one in samples]
        values = ["n/a" if found is None else found.compact() for found in intervals]
        table.add_row(cell.label, format_size(cell.size), str(cell.threads), *values)
    console.print(table)
    console.print()
    for line in [*_crossover_lines(sweep), *_repeat_lines(sweep), *sweep.notes]:
        console.print(Text(line))


def _crossover_lines(sweep: Sweep) -> list[str]:
    lines = []
    for one in crossovers(sweep):
        about = f", about {format_size(round(one.estimate))}" if one.found and one.estimate else ""
        lines.append(f"crossover {one.challenger} over {one.reference}, {one.threads} threads: {one.reason}{about}")
    return lines


def _repeat_lines(sweep: Sweep) -> list[str]:
    found = repeats(sweep)
    lines = [
        f"A/A {one.mode}, {format_size(one.size)}, {one.threads} threads: {one.ratio or 'n/a'}"
        f"{'' if one.clean is None else ', holds 1' if one.clean else ', DOES NOT HOLD 1'}"
        for one in found
    ]
    decided = [one for one in found if one.clean is not None]
    if decided:
        dirty = sum(not one.clean for one in decided)
        lines.append(f"A/A: {dirty} of {len(decided)} intervals do not hold 1; 95 % intervals may miss it 1 time in 20")
    return lines
