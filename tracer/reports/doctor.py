"""The table of doctor: what nettrace needs, what it found, what to do."""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from tracer.books.facts import Diagnosis, Fact, Purpose, State

_WIDTH = 100
_TITLES = {
    Purpose.RUN: "to run here",
    Purpose.FUNCTIONS: "to see functions",
    Purpose.COST: "to measure cost",
    Purpose.LAB: "for the lab",
}
_COLOURS = {State.OK: "green", State.MISSING: "red", State.UNKNOWN: "yellow"}


def doctor_text(diagnosis: Diagnosis, colour: bool) -> str:
    """The whole report, 100 columns wide; what is not ok comes with its reason and its fix."""
    console = Console(
        width=_WIDTH, color_system="standard" if colour else None, force_terminal=colour, highlight=False, markup=False
    )
    groups = [_group(purpose, diagnosis.facts) for purpose in _TITLES]
    with console.capture() as captured:
        console.print(Group(*groups, Text(diagnosis.sentence, style="bold")))
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"


def _group(purpose: Purpose, facts: list[Fact]) -> RenderableType:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(width=7)
    table.add_column(width=19)
    table.add_column(ratio=1)
    for fact in facts:
        if fact.purpose is purpose:
            table.add_row(Text(fact.state, style=_COLOURS[fact.state]), Text(fact.name), _explanation(fact))
    return Group(Text(_TITLES[purpose], style="bold"), table, Text())


def _explanation(fact: Fact) -> Text:
    text = Text(fact.detail, overflow="fold")
    text.append(f"\nwhy: {fact.why_it_matters}", style="dim")
    if fact.fix:
        text.append(f"\nfix: {fact.fix}")
    return text
