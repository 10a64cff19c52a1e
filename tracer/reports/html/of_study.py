"""The pages of the study: a comparison, a sweep, and the verdicts on claims. What they say is the screens'."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from rich.table import Table

from tracer.reports.claims import claims_table, count, encode_claims, told_cases, told_repeats
from tracer.reports.compare import encode_comparison, no_winner, table_of
from tracer.reports.html.answers_of_study import answers_of_claims, answers_of_comparison, answers_of_sweep
from tracer.reports.html.grid import Cell, Grid, Row, grid_of, plain_console
from tracer.reports.html.page import Page, Section
from tracer.reports.sweep import crossover_lines, encode_sweep, medians_table, next_step, repeat_lines
from tracer.study.claim_rules.findings import Ruling
from tracer.study.comparison import Comparison
from tracer.study.sweep_answer import answer_of
from tracer.study.sweep_plan import Sweep


def page_of_comparison(comparison: Comparison, command: str) -> Page:
    """Who wins, then the evidence.

    Args:
        command: What was typed.
    """
    figures = grid_of(table_of(comparison, plain_console()), "Figures")
    return Page(
        title=comparison.title,
        sentences=[contest.sentence for contest in comparison.contests] or no_winner(comparison),
        sections=[Section("figures", "Figures", _INTERVALS, grids=[figures])],
        data=json.loads(encode_comparison(comparison)),
        command=command,
        answers=answers_of_comparison(comparison),
        notes=comparison.notes,
        trustworthy=comparison.trustworthy,
    )


_INTERVALS = "Medians with their 95 % intervals; a winner is named where the interval of the ratio excludes 1."


def page_of_sweep(sweep: Sweep, directory: Path, command: str) -> Page:
    """The answer, the medians of all that was measured, and the pictures."""
    plan, host = sweep.manifest.plan, sweep.manifest.host
    medians = grid_of(medians_table(sweep, plain_console()), "Medians")._replace(filtered="mode, size or threads")
    return Page(
        title=f"sweep of {', '.join(plan.modes)} over {plan.link}, Linux {host.kernel}, {host.cpu}",
        sentences=answer_of(sweep) or repeat_lines(sweep)[-1:],
        sections=[
            Section("medians", "Medians", _INTERVALS, grids=[medians]),
            Section("crossovers", "Crossovers and noise", lines=[*crossover_lines(sweep), *repeat_lines(sweep)]),
            Section("pictures", "Pictures", pictures=_pictures(sweep)),
        ],
        data=json.loads(encode_sweep(sweep)),
        command=command,
        answers=answers_of_sweep(sweep, next_step(sweep, directory)),
        notes=sweep.notes,
    )


def _pictures(sweep: Sweep) -> list[tuple[str, str]]:
    """The sweep's plots as data in the page: a picture's name, and its SVG in base64."""
    from tracer.reports.plots import drawn

    return [(name.replace("-", " "), base64.b64encode(image).decode()) for name, image in drawn(sweep)]


def page_of_claims(rulings: list[Ruling], notes: list[str], sweep: Sweep | None, command: str) -> Page:
    """The verdicts, and for each what decided.

    Args:
        sweep: Whose pictures are shown; None where there is none.
    """
    verdicts: Table = claims_table(rulings, plain_console())
    return Page(
        title="the claims of the source study, settled",
        sentences=[count(rulings)],
        sections=[
            Section(
                "verdicts", "Verdicts", grids=[grid_of(verdicts, "Verdicts")._replace(filtered="claim or verdict")]
            ),
            Section("cases", "What decided", grids=[_cases(ruling) for ruling in rulings]),
            Section("pictures", "Pictures", pictures=_pictures(sweep) if sweep is not None else []),
        ],
        data=json.loads(encode_claims(rulings, notes)),
        command=command,
        answers=answers_of_claims(rulings),
        notes=notes,
    )


def _cases(ruling: Ruling) -> Grid:
    lines = [f"rule: {ruling.rule}", *told_repeats(ruling), *told_cases(ruling.cases)]
    rows = [Row([Cell(name), Cell(text)]) for name, _, text in (line.partition(": ") for line in lines)]
    return Grid(f"{ruling.id} {ruling.outcome}: {ruling.claim}", ["case", "what"], [False, False], rows)
