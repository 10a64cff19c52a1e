"""The page of one run: what the terminal's report says of it, with the pictures that a terminal cannot draw."""

from __future__ import annotations

import json
from typing import Any

from tracer.books.advice import command_line
from tracer.books.analysis import document_of
from tracer.books.quantities import MIN_SAMPLES
from tracer.books.recording import encode
from tracer.books.stages import cost_of_folded
from tracer.model import CpuProfile, Document, Recording
from tracer.reports.costs import LABELS, cost_tables
from tracer.reports.html.answers import answers_of
from tracer.reports.html.bounds import bounded, fewer_stacks
from tracer.reports.html.charts import cpu_bars
from tracer.reports.html.facts import host_grid
from tracer.reports.html.flame import Flame, flame_of
from tracer.reports.html.flow import flow_of
from tracer.reports.html.grid import Grid, grid_of, plain_console
from tracer.reports.html.page import Page, Section
from tracer.reports.picture import legs_of
from tracer.reports.redaction import redacted
from tracer.reports.stacks import folded_copies
from tracer.reports.terminal import figures_table, how_seen, laws_table, ledger_table, title_of


def page_of_run(recording: Recording, *, hide: bool = False) -> Page:
    """Everything derived anew from what was measured.

    Args:
        hide: Without addresses, users and command lines.
    """
    document = document_of(bounded(redacted(recording) if hide else recording))
    verdict = document.verdict
    return Page(
        title=title_of(document),
        sentences=[verdict.sentence, *([f"stuck: {document.stuck}"] if document.stuck else [])],
        sections=_sections(document),
        data=json.loads(encode(document)),
        command=command_line(document.experiment),
        next=verdict.next,
        answers=answers_of(document),
        notes=document.notes,
        trustworthy=document.ledger.trustworthy,
        is_redacted=hide,
    )


def _sections(document: Document) -> list[Section]:
    console = plain_console()
    entries = document.ledger.entries
    legs = legs_of(document)
    ledger = grid_of(ledger_table(document, console), "Stages", [str(entry.stage) for entry in entries])
    figures = grid_of(figures_table(document, console), "Figures")
    laws = grid_of(laws_table(document.ledger.laws, console), "Laws")
    costs = [_cost_grid(table, document) for table in cost_tables(document, console)]
    return [
        Section("way", "The way of a byte", flows=[flow_of("From the sender to the reader", legs)] if legs else []),
        Section("ledger", "Where bytes are copied, and where not", how_seen(document), grids=[ledger]),
        Section("figures", "Figures", _TWO_PASSES, grids=[figures]),
        _cpu_section(document, costs),
        Section("copies", "Stacks that led to copies and pins", _BY_STACK, flames=_copy_flames(document)),
        Section("laws", "Laws", _LAWS, grids=[laws]),
        Section("host", "Where this was measured", grids=[host_grid(document)]),
    ]


_TWO_PASSES = "The same work is done twice: a bare pass for time and CPU, an observed pass for bytes."
_BY_STACK = (
    "Each box is a kernel function, as wide as the bytes that were copied or pinned in it or below it; of many the "
    "heaviest ones."
)
_LAWS = "Sums that must be equal if every byte was found. One that is broken makes all of this untrustworthy."
BY_SAMPLE = (
    "Each box is a function, as wide as the CPU time that was sampled in it or below it; its colour is its stage."
)


def _cost_grid(table: Any, document: Document) -> Grid:
    """A table of costs; the one by stage has the stages' colours."""
    title = str(table.columns[0].header)
    stages = [cost.stage for cost in document.profile.stages] if document.profile and "stage" in title else []
    return grid_of(table, title, stages)


def _cpu_section(document: Document, costs: list[Grid]) -> Section:
    profile = document.profile
    bars = cpu_bars(profile, LABELS) if profile else None
    flames = cpu_flames(profile)
    return Section("cost", "What it cost the CPU", bars=[bars] if bars else [], flames=flames, grids=costs)


def cpu_flames(profile: CpuProfile | None) -> list[Flame]:
    """CPU samples by stack; none of so few that no width means anything."""
    if profile is None or profile.samples < MIN_SAMPLES or not profile.folded:
        return []
    return [_cpu_flame(profile)]


def _cpu_flame(profile: CpuProfile) -> Flame:
    return flame_of(f"CPU time by stack, {profile.event}", "samples", profile.folded, _stage_of_stack)


def _stage_of_stack(stack: str) -> str:
    """Where a sample in this function belongs; nowhere above a stack's first function."""
    return str(cost_of_folded(stack).work) if stack.count(";") > 1 else ""


def _copy_flames(document: Document) -> list[Flame]:
    folded = dict(line.rsplit(" ", 1) for line in folded_copies(document).splitlines())
    counted_bytes = fewer_stacks({stack: int(size) for stack, size in folded.items()})
    if not counted_bytes:
        return []
    return [flame_of("bytes copied or pinned, by stack", "B", counted_bytes, lambda stack: stack.partition(";")[0])]
