"""nettrace compare: the modes side by side at one size."""

from __future__ import annotations

import sys

import click

from tracer.commands.options import MODES, progress_bar
from tracer.commands.recorder import lab_option, record_run
from tracer.commands.run import MAX_THREADS, Size
from tracer.commands.sweep import DEFAULT_MODES, DEFAULT_SEED, check_plan
from tracer.errors import EXIT_OK, EXIT_UNTRUSTWORTHY
from tracer.model import Link

# The least that can tell three modes apart.
DEFAULT_REPETITIONS = 7


@click.command()
@click.option("--size", type=Size(), default="16384", show_default=True, help="Bytes of a message: 16384, 16K, 1MiB.")
@click.option("--modes", type=MODES, default=DEFAULT_MODES, show_default=True)
@click.option("--threads", type=click.IntRange(1, MAX_THREADS), default=1, show_default=True, help="Connections.")
@click.option("--link", type=click.Choice([link.value for link in Link]), default="lo", show_default=True)
@click.option("--peer", help="HOST:PORT of `nettrace serve`, for --link nic.")
@click.option("--repetitions", type=click.IntRange(1, 1000), default=DEFAULT_REPETITIONS, show_default=True)
@lab_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of the table.")
@click.pass_context
def command(
    ctx: click.Context,
    size: int,
    modes: list[str],
    threads: int,
    link: str,
    peer: str | None,
    repetitions: int,
    lab: str | None,
    as_json: bool,
) -> None:
    """Run all modes at one size, in turn and several times, and say which one wins, if any does."""
    from tracer.reports.compare import encode_comparison, print_comparison
    from tracer.reports.terminal import make_console
    from tracer.study.comparison import comparison_of
    from tracer.study.sweep import measure
    from tracer.study.sweep_plan import Plan, default_budget

    plan = Plan(
        modes=modes,
        sizes=[size],
        threads=[threads],
        repetitions=repetitions,
        seed=DEFAULT_SEED,
        link=Link(link),
        peer=peer,
        lab=lab,
        bytes_budget=default_budget(lab),
    )
    check_plan(plan)
    with progress_bar("compare") as progress:
        comparison = comparison_of(measure(plan, progress, record_run))
    if as_json:
        sys.stdout.write(encode_comparison(comparison))
    else:
        print_comparison(comparison, make_console(sys.stdout))
    ctx.exit(EXIT_OK if comparison.trustworthy else EXIT_UNTRUSTWORTHY)
