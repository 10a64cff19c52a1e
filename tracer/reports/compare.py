"""A comparison of the modes on the screen and as JSON."""

from __future__ import annotations

import msgspec
from rich.console import Console
from rich.table import Table

from tracer.books.mechanics import NOTHING
from tracer.books.modes import known
from tracer.model import Stage
from tracer.reports.compare_many import table_by_mode, told_of_modes
from tracer.reports.tables import make_table, paragraph
from tracer.study.comparison import EMULATED, Comparison
from tracer.study.contests import MANY
from tracer.study.measurements import QUANTITIES
from tracer.units import format_ratio


def encode_comparison(comparison: Comparison) -> str:
    """One JSON document."""
    return msgspec.json.format(msgspec.json.encode(comparison), indent=2).decode() + "\n"


def print_comparison(comparison: Comparison, console: Console) -> None:
    """One screen: who wins, then the evidence."""
    console.print(paragraph(comparison.title, console, style="dim"))
    console.print()
    for contest in comparison.contests:
        console.print(paragraph(contest.sentence, console, style="bold" if contest.winner else ""))
    for sentence in comparison.why if len(comparison.modes) <= MANY else ():
        console.print(paragraph(f"  {sentence}", console, "    "))
    for sentence in no_winner(comparison):
        console.print(paragraph(sentence, console))
    console.print()
    console.print(table_of(comparison, console))
    for line in told_of_modes(comparison):
        console.print(paragraph(line, console, "  "))
    for text in comparison.notes:
        console.print(paragraph(f"note: {text}", console, "      "))
    print_advice(comparison.advice, console)


def print_advice(advice: list[str], console: Console) -> None:
    """At the end, where the reader is; nothing where none can be given."""
    if advice:
        console.print()
    for sentence in advice:
        console.print(paragraph(f"  {sentence}", console, "    ", "bold" if sentence.startswith("advice") else ""))


def no_winner(comparison: Comparison) -> list[str]:
    """Why nobody is said to win; nothing where somebody could."""
    return ["no winner is named: only copies are compared here"] if EMULATED in comparison.notes else []


def table_of(comparison: Comparison, console: Console) -> Table:
    """A column a mode, and of many a row each."""
    table = comparison_table if len(comparison.modes) <= MANY else table_by_mode
    return table(comparison, console)


def comparison_table(comparison: Comparison, console: Console) -> Table:
    """A row a figure and a stage, a column a mode."""
    table = make_table(console, "figure", *comparison.modes, "source", right=tuple(comparison.modes))
    for quantity in QUANTITIES:
        intervals = comparison.figures[quantity.name]
        cells = ["n/a" if (found := intervals[mode]) is None else found.compact() for mode in comparison.modes]
        table.add_row(quantity.short, *cells, comparison.sources[quantity.name])
    _add_mechanics(table, comparison)
    _add_stages(table, comparison)
    return table


def _add_mechanics(table: Table, comparison: Comparison) -> None:
    """Packets and what comes with them, where somebody counted them."""
    rows = {
        "B of payload a packet": ("packet_bytes", ",.0f", "observed pass"),
        "fragments a packet": ("fragments", ".1f", "observed pass"),
        "ACKs a packet": ("acks_per_packet", ".3g", "observed pass, TCP_INFO"),
        "completions a send": ("completions_per_send", ".3g", "observed pass"),
        "CPU time in timers": ("timer_share", ".0%", "sampled stacks"),
    }
    for name, (field, form, source) in rows.items():
        values = [getattr(comparison.mechanics.get(mode, NOTHING), field) for mode in comparison.modes]
        if any(value is not None for value in values):
            cells = ["n/a" if value is None else format(value, form) for value in values]
            table.add_row(name, *cells, source)


def _share(comparison: Comparison, mode: str, stage: Stage) -> float | None:
    """Of a cipher's work, none in a mode without one: no entry says so."""
    found, asked = comparison.copies.get(mode, {}), known(mode)
    is_in_the_clear = asked is not None and not asked.is_encrypted and bool(found)
    return found.get(stage, 0.0 if is_in_the_clear and stage in (Stage.ENCRYPT, Stage.DECRYPT) else None)


def _add_stages(table: Table, comparison: Comparison) -> None:
    seen = [stage for stage in Stage if any(stage in copies for copies in comparison.copies.values())]
    for stage in seen:
        shares = [_share(comparison, mode, stage) for mode in comparison.modes]
        table.add_row(f"{stage.replace('_', ' ')}, x payload", *map(format_ratio, shares), "observed pass")
    sampled = dict.fromkeys(stage for costs in comparison.cpu.values() for stage in costs)
    for name in sampled:
        # A mode that was sampled, and never in this stage, spent too little there to be seen.
        sampled_modes = [comparison.cpu.get(mode) for mode in comparison.modes]
        costs = [found.get(name, 0.0) if found else None for found in sampled_modes]
        cells = ["n/a" if cost is None else f"{cost:.3f}" for cost in costs]
        table.add_row(f"CPU: {name.replace('_', ' ')}, ns/B", *cells, "sampled stacks")
