"""nettrace sweep: the study's whole experiment, into a directory."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tracer.books.modes import STUDIED
from tracer.commands.conditions import check_conditions, require_files
from tracer.commands.html import html_option, typed, write_page
from tracer.commands.options import (
    SIZES,
    THREADS,
    Bytes,
    Seconds,
    json_option,
    lab_option,
    link_option,
    modes_option,
    observer_option,
    peer_option,
    progress_bar,
    repetitions_option,
    settings_options,
    setup_option,
)
from tracer.commands.output import note, write_json
from tracer.errors import UsageError
from tracer.model import Link, ObserverChoice

if TYPE_CHECKING:
    from tracer.study.sweep_plan import Plan

DEFAULT_DIRECTORY = Path("nettrace-sweep")
DEFAULT_MODES, DEFAULT_SIZES, DEFAULT_THREADS = ",".join(STUDIED), "1024,4096,16384,65536", "1,2,4,8"
DEFAULT_SEED = 1
# The largest rules of nettrace claims make 48 comparisons: eleven repetitions can tell so many differences from noise
# if all of them agree, and from fifteen on, one that was disturbed may disagree.
DEFAULT_REPETITIONS = 15


@click.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False), default=DEFAULT_DIRECTORY)
@modes_option(DEFAULT_MODES)
@click.option("--sizes", type=SIZES, default=DEFAULT_SIZES, show_default=True, help="Bytes of a message.")
@click.option("--threads", type=THREADS, default=DEFAULT_THREADS, show_default=True, help="Connections.")
@repetitions_option(DEFAULT_REPETITIONS)
@click.option("--seed", type=int, default=DEFAULT_SEED, show_default=True, help="Of the order of the runs.")
@link_option
@peer_option
@observer_option("What watches the first run of each combination.")
@click.option("--bytes-budget", type=Bytes(), help="Payload of one run, at most. [default: 256M; in the lab 4M]")
@click.option("--time-budget", type=Seconds(), help="Seconds that one run sends, instead of its bytes.")
@click.option("--aa", is_flag=True, help="Check the noise: each mode runs twice, under two labels.")
@settings_options
@lab_option
@setup_option
@json_option
@html_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    directory: Path,
    modes: list[str],
    sizes: list[int],
    threads: list[int],
    repetitions: int,
    seed: int,
    link: str,
    peer: str | None,
    observer: str,
    bytes_budget: int | None,
    time_budget: float | None,
    aa: bool,
    lab: str | None,
    setup: tuple[str, ...],
    as_json: bool,
    html_path: Path | None,
    **settings: Any,
) -> None:
    """Run all modes at all sizes and numbers of threads, several times in shuffled order, into DIRECTORY.

    Interrupt it as you like: the same command goes on where it was. The default takes some five minutes.
    """
    from tracer.runs.dispatch import record_run
    from tracer.study.sweep import sweep
    from tracer.study.sweep_file import is_finished
    from tracer.study.sweep_plan import Plan, default_budget

    if time_budget is not None and bytes_budget is not None:
        raise UsageError(
            "--time-budget and --bytes-budget exclude each other", "both say how much one run sends", "give one"
        )
    require_files({"--html": html_path})
    plan = Plan(
        modes=modes,
        sizes=sorted(sizes),
        threads=sorted(threads),
        repetitions=repetitions,
        seed=seed,
        link=Link(link),
        observer=ObserverChoice(observer),
        peer=peer,
        lab=lab,
        setup=setup,
        **settings,
        bytes_budget=bytes_budget or default_budget(lab),
        time_budget_s=time_budget,
        same_mode_twice=aa,
    )
    check_plan(plan)
    if not is_finished(directory):
        _require(plan)
    with progress_bar("sweep") as progress:
        finished = sweep(plan, directory, progress, record_run)
    note(f"saved in {directory}: runs.parquet, runs.csv, summary.csv, manifest.json")
    from tracer.machine.thresholds import keep_threshold
    from tracer.reports.sweep import encode_sweep, print_sweep
    from tracer.reports.tables import make_console
    from tracer.study.thresholds import threshold_of

    if (found := threshold_of(finished)) is not None:
        keep_threshold(plan.link, found)
    # Also where nobody reads the screen to its end: nettrace sweep --html FILE | head -1
    if html_path is not None:
        from tracer.reports.html.of_study import page_of_sweep

        write_page(page_of_sweep(finished, directory, typed(ctx)), html_path)
    if as_json:
        write_json(encode_sweep(finished))
    else:
        print_sweep(finished, directory, make_console(sys.stdout))


def _require(plan: Plan) -> None:
    """What this machine cannot do, before anything is written.

    Raises:
        NettraceError: a mode or the observer cannot be had, and why.
    """
    from tracer.observers.choice import require_observers
    from tracer.runs.dispatch import record_run
    from tracer.study.trials import require_modes

    require_modes(plan, record_run)
    if plan.lab is None:
        require_observers(plan.observer, stacks=False)


def check_plan(plan: Plan) -> None:
    """Refuse what every run of it would refuse, before anything is written.

    Raises:
        UsageError: a link without its receiver, or a receiver that the link has no use for.
    """
    from tracer.study.sweep_plan import experiment_of, jobs_of

    for job in jobs_of(plan):
        if job.repetition == 0:
            check_conditions(experiment_of(plan, job))
