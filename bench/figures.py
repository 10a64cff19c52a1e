"""Figures beside their budgets, for the programs here that print some."""

from __future__ import annotations

from typing import NamedTuple

from rich.console import Console
from rich.table import Table


class Figure(NamedTuple):
    """A value and what it may be at most."""

    what: str
    value: float
    budget: float
    unit: str


def show(title: str, figures: list[Figure]) -> int:
    """The table; exit code 1 if a budget was not kept."""
    table = Table(title=title)
    for heading in ("what", "value", "budget", "kept"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    for one in figures:
        kept = "yes" if one.value <= one.budget else "NO"
        table.add_row(one.what, f"{one.value:.3g} {one.unit}", f"{one.budget:g} {one.unit}", kept)
    Console(width=100).print(table)
    return 0 if all(one.value <= one.budget for one in figures) else 1
