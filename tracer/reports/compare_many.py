"""Many modes side by side: a row each, the fastest first, on one screen."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from tracer.books.mechanics import NOTHING
from tracer.model import Stage
from tracer.reports.tables import make_table
from tracer.study.comparison import Comparison
from tracer.study.contests import MANY
from tracer.study.measurements import DEMAND, THROUGHPUT
from tracer.study.why import largest_part
from tracer.units import format_ratio

_NUMBERS = ("Gb/s", "CPU µs/KiB", "own", "in", "out", "B/packet", "frags")
_MEANING = (
    "own, in, out: copies of a byte in the sender's own memory, in the kernel on the sending side, and to the reader; "
    "B/packet, frags: payload and fragments of an skb; what costs more: where most of the CPU time goes that "
    "{cheapest} does not take"
)


def table_by_mode(comparison: Comparison, console: Console) -> Table:
    """The fastest first; last what could not be done."""
    table = make_table(console, "mode", *_NUMBERS, "what costs more", right=_NUMBERS)
    cheapest = _cheapest(comparison)
    for mode in sorted(comparison.modes, key=lambda one: -_median(comparison, THROUGHPUT.name, one)):
        table.add_row(mode, *_figures(comparison, mode), _dearest(comparison, mode, cheapest))
    for mode in comparison.absent:
        table.add_row(mode, *["n/a"] * len(_NUMBERS))
    return table


def told_of_modes(comparison: Comparison) -> Iterator[str]:
    """What the columns mean, and why a mode has none; nothing of a few modes."""
    if len(comparison.modes) > MANY:
        yield _MEANING.format(cheapest=_cheapest(comparison) or "the cheapest")
    for mode, reason in comparison.absent.items():
        yield f"{mode}: n/a: {reason}"


def _median(comparison: Comparison, quantity: str, mode: str) -> float:
    """For an order: what was not measured comes last."""
    found = comparison.figures[quantity][mode]
    return 0.0 if found is None else found.median


def _cheapest(comparison: Comparison) -> str:
    """The mode with the least CPU time; empty where nobody measured it."""
    costs = {mode: found.median for mode, found in comparison.figures[DEMAND.name].items() if found is not None}
    return min(costs, key=lambda mode: costs[mode]) if costs else ""


def _figures(comparison: Comparison, mode: str) -> list[str]:
    throughput, demand = (comparison.figures[one.name][mode] for one in (THROUGHPUT, DEMAND))
    copies, mechanics = comparison.copies.get(mode, {}), comparison.mechanics.get(mode, NOTHING)
    return [
        "n/a" if throughput is None else throughput.compact(),
        "n/a" if demand is None else f"{demand.median:.3g}",
        format_ratio(copies.get(Stage.PACK)),
        format_ratio(comparison.sent_copies.get(mode)),
        format_ratio(copies.get(Stage.COPY_OUT)),
        _or_unknown(mechanics.packet_bytes, ",.0f"),
        _or_unknown(mechanics.fragments, ".1f"),
    ]


def _or_unknown(value: float | None, form: str) -> str:
    return "n/a" if value is None else format(value, form)


def _dearest(comparison: Comparison, mode: str, cheapest: str) -> str:
    part = largest_part(comparison.cpu.get(mode, {}), comparison.cpu.get(cheapest, {}))
    if mode == cheapest or part is None:
        return "" if mode == cheapest else "n/a"
    return f"{part.stage.replace('_', ' ')} +{part.ns_per_byte:.2f} ns/B"
