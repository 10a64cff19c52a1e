"""nettrace compare: the modes side by side at one size."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from tracer.commands.conditions import require_files
from tracer.commands.html import html_option, typed, write_page
from tracer.commands.options import (
    json_option,
    lab_option,
    link_option,
    modes_option,
    peer_option,
    progress_bar,
    repetitions_option,
    settings_options,
    setup_option,
    size_option,
    threads_option,
)
from tracer.commands.output import write_json
from tracer.commands.sweep import DEFAULT_MODES, DEFAULT_SEED, check_plan
from tracer.errors import EXIT_OK, EXIT_UNTRUSTWORTHY
from tracer.model import Link

# The least that can tell three modes apart.
DEFAULT_REPETITIONS = 7


@click.command()
@size_option
@modes_option(DEFAULT_MODES)
@threads_option
@link_option
@peer_option
@repetitions_option(DEFAULT_REPETITIONS)
@settings_options
@lab_option
@setup_option
@json_option
@html_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    size: int,
    modes: list[str],
    threads: int,
    link: str,
    peer: str | None,
    repetitions: int,
    lab: str | None,
    setup: tuple[str, ...],
    as_json: bool,
    html_path: Path | None,
    **settings: Any,
) -> None:
    """Run all modes at one size, in turn and several times, and say which one wins, if any does."""
    from tracer.reports.compare import encode_comparison, print_comparison
    from tracer.reports.tables import make_console
    from tracer.runs.dispatch import record_run
    from tracer.study.comparison import comparison_of
    from tracer.study.sweep import measure
    from tracer.study.sweep_plan import Plan, default_budget

    require_files({"--html": html_path})
    plan = Plan(
        modes=modes,
        sizes=[size],
        threads=[threads],
        repetitions=repetitions,
        seed=DEFAULT_SEED,
        link=Link(link),
        peer=peer,
        lab=lab,
        setup=setup,
        **settings,
        bytes_budget=default_budget(lab),
    )
    check_plan(plan)
    with progress_bar("compare") as progress:
        comparison = comparison_of(measure(plan, progress, record_run))
    # Also where nobody reads the screen to its end: nettrace compare --html FILE | head -1
    if html_path is not None:
        from tracer.reports.html.of_study import page_of_comparison

        write_page(page_of_comparison(comparison, typed(ctx)), html_path)
    if as_json:
        write_json(encode_comparison(comparison))
    else:
        print_comparison(comparison, make_console(sys.stdout))
    ctx.exit(EXIT_OK if comparison.trustworthy else EXIT_UNTRUSTWORTHY)
