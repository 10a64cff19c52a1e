"""nettrace compare: the modes side by side at one size."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from tracer.books.modes import NAMES
from tracer.commands.conditions import check_conditions, require_files
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
from tracer.errors import EXIT_OK, EXIT_UNTRUSTWORTHY, UsageError
from tracer.model import Link

if TYPE_CHECKING:
    from tracer.model import Experiment, Recording
    from tracer.study.comparison import Comparison
    from tracer.study.sweep_plan import Plan

# The least that can tell three modes apart.
DEFAULT_REPETITIONS = 7


@click.command()
@size_option
@modes_option(DEFAULT_MODES)
@click.option("--all", "all_modes", is_flag=True, help="All modes that there are, a row each, in less than a minute.")
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
def command(ctx: click.Context, /, *, all_modes: bool, as_json: bool, html_path: Path | None, **given: Any) -> None:
    """Run all modes at one size, in turn and several times, and say which one wins, if any does."""
    from tracer.runs.dispatch import record_run
    from tracer.study.comparison import comparison_of
    from tracer.study.sweep import measure
    from tracer.study.trials import require_modes

    require_files({"--html": html_path})
    _check_all(ctx, all_modes)
    plan = _plan(given, list(NAMES) if all_modes else given["modes"])
    plan, absent = _of_all(plan) if all_modes else (plan, {})
    check_plan(plan)
    if not all_modes:
        require_modes(plan, record_run)
    with progress_bar("compare") as progress:
        comparison = comparison_of(measure(plan, progress, record_run), absent)
    # Also where nobody reads the screen to its end: nettrace compare --html FILE | head -1
    if html_path is not None:
        from tracer.reports.html.of_study import page_of_comparison

        write_page(page_of_comparison(comparison, typed(ctx)), html_path)
    _emit(comparison, as_json)
    ctx.exit(EXIT_OK if comparison.trustworthy else EXIT_UNTRUSTWORTHY)


def _check_all(ctx: click.Context, all_modes: bool) -> None:
    """--all says which modes, and how often each is run."""
    for one in ("modes", "repetitions") if all_modes else ():
        if ctx.get_parameter_source(one) is ParameterSource.COMMANDLINE:
            why = "--all takes every mode, as often as it takes to tell any two apart"
            raise UsageError(f"--all and --{one} exclude each other", why, "give one")


def _plan(given: dict[str, Any], modes: list[str]) -> Plan:
    from tracer.study.sweep_plan import Plan, default_budget

    link, size, threads, lab = Link(given["link"]), given["size"], given["threads"], given["lab"]
    rest = {name: value for name, value in given.items() if name not in ("link", "size", "threads", "modes", "lab")}
    return Plan(
        modes=modes, sizes=[size], threads=[threads], seed=DEFAULT_SEED, link=link, lab=lab,
        bytes_budget=default_budget(lab), **rest,
    )  # fmt: skip


def _of_all(plan: Plan) -> tuple[Plan, dict[str, str]]:
    """The plan for those of its modes that can be done here, and why the others cannot."""
    from tracer.study.all_modes import plan_of_all, try_all

    tried = try_all(plan, record_if_possible)
    return plan_of_all(plan, tried), tried.refused


def record_if_possible(experiment: Experiment, observed: bool) -> Recording:
    """Of all modes, one may know no such setting, or no such size."""
    from tracer.runs.dispatch import record_run

    check_conditions(experiment)
    return record_run(experiment, observed)


def _emit(comparison: Comparison, as_json: bool) -> None:
    from tracer.reports.compare import encode_comparison, print_comparison
    from tracer.reports.tables import make_console

    if as_json:
        write_json(encode_comparison(comparison))
    else:
        print_comparison(comparison, make_console(sys.stdout))
