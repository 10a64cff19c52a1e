"""A finished sweep on the screen: medians with intervals, crossovers, how noisy the machine was, and the answer."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from tracer.reports.compare import print_advice
from tracer.reports.tables import make_table, paragraph
from tracer.study.crossovers import crossovers
from tracer.study.measurements import DEMAND, LATENCY, QUANTITIES, THROUGHPUT, Samples
from tracer.study.repeats import repeats
from tracer.study.sweep_answer import answer_of, is_decided
from tracer.study.sweep_plan import MAX_REPETITIONS, Sweep
from tracer.study.which_mode import advice_of, more_repetitions
from tracer.texts import counted
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
        "crossovers": crossovers(sweep), "answer": answer_of(sweep), "advice": advice_of(sweep),
        "same_mode_twice": repeats(sweep),
    }  # fmt: skip
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def print_sweep(sweep: Sweep, directory: Path, console: Console) -> None:
    """The tables of a sweep, and at the end, where the reader is, what it found and what to do with it."""
    console.print(medians_table(sweep, console))
    console.print()
    for line in [*crossover_lines(sweep), *repeat_lines(sweep), *sweep.notes]:
        console.print(paragraph(line, console, "  "))
    console.print()
    for sentence in answer_of(sweep):
        console.print(paragraph(sentence, console, "  ", "bold"))
    print_advice(advice_of(sweep), console)
    console.print(paragraph(f"  next: {next_step(sweep, directory)}", console, "        "))


def medians_table(sweep: Sweep, console: Console) -> Table:
    """A row a combination, with the medians of what decides and their intervals."""
    samples = [Samples(sweep.runs, quantity) for quantity in (THROUGHPUT, LATENCY, DEMAND)]
    columns = [one.quantity.short for one in samples]
    table = make_table(console, "mode", "size", "threads", *columns, right=("size", "threads", *columns))
    for cell in sweep.manifest.plan.cells():
        intervals = [one.interval(*cell) for one in samples]
        values = ["n/a" if found is None else found.compact() for found in intervals]
        table.add_row(cell.label, format_size(cell.size), str(cell.threads), *values)
    return table


def next_step(sweep: Sweep, directory: Path) -> str:
    """Drawn and judged; where noise hides the answer, measured with more repetitions."""
    name, wanted = shlex.quote(str(directory)), more_repetitions(sweep.manifest.plan)
    if not is_decided(sweep) and wanted <= MAX_REPETITIONS:
        told = any(sentence.endswith(f"--repetitions {wanted}") for sentence in advice_of(sweep))
        many, number = ("so many", "") if told else ("more", f": --repetitions {wanted}")
        return f"nettrace plot {name}; or {many} repetitions, in another directory{number}"
    return f"nettrace plot {name} draws it, nettrace claims {name} judges claims by it"


def crossover_lines(sweep: Sweep) -> list[str]:
    """From which size on a mode pays."""
    lines = []
    for one in crossovers(sweep):
        about = f", about {format_size(round(one.estimate))}" if one.found and one.estimate else ""
        threads = counted(one.threads, "thread")
        lines.append(f"crossover {one.challenger} over {one.reference}, {threads}: {one.reason}{about}")
    return lines


def repeat_lines(sweep: Sweep) -> list[str]:
    """How much two runs of one mode differ; nothing but of an A/A check."""
    found = repeats(sweep)
    lines = [
        f"A/A {one.mode}, {format_size(one.size)}, {counted(one.threads, 'thread')}: {one.ratio or 'n/a'}"
        f"{'' if one.clean is None else ', holds 1' if one.clean else ', DOES NOT HOLD 1'}"
        for one in found
    ]
    decided = [one for one in found if one.clean is not None]
    if decided:
        dirty = sum(not one.clean for one in decided)
        lines.append(f"A/A: {dirty} of {len(decided)} intervals do not hold 1; 95 % intervals may miss it 1 time in 20")
    return lines
