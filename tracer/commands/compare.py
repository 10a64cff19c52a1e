"""nettrace compare: the modes side by side at one size."""

from __future__ import annotations

import sys

import click

from tracer.commands.options import MODES, progress_bar
from tracer.commands.recorder import lab_option, record_run, setup_option
from tracer.commands.run import MAX_THREADS, Size
from tracer.commands.sweep import DEFAULT_MODES, DEFAULT_SEED
from tracer.errors import EXIT_OK, EXIT_UNTRUSTWORTHY
from tracer.model import Link


@click.command()
@click.option("--size", type=Size(), default="16384", show_default=True, help="Bytes of a message: 16384, 16K, 1MiB.")
@click.option("--modes", type=MODES, default=DEFAULT_MODES, show_default=True)
@click.option("--threads", type=click.IntRange(1, MAX_THREADS), default=1, show_default=True, help="Connections.")
@click.option("--link", type=click.Choice([link.value for link in Link]), default="lo", show_default=True)
@click.option("--peer", help="HOST:PORT of `nettrace serve`, for --link nic.")
@click.option("--repetitions", type=click.IntRange(1, 1000), default=5, show_default=True)
@lab_option
@setup_option
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
    setup: list[str],
    as_json: bool,
) -> None:
    """Run all modes at one size, in turn and several times, and say which one wins, if any does."""
    from tracer.reports.compare import comparison_of, encode_comparison, print_comparison
    from tracer.reports.terminal import make_console
    from tracer.study.sweep import measure
    from tracer.study.sweep_plan import Plan

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
    )
    with progress_bar("compare") as progress:
        comparison = comparison_of(measure(plan, progress, record_run))
    if as_json:
        sys.stdout.write(encode_comparison(comparison))
    else:
        print_comparison(comparison, make_console(sys.stdout))
    ctx.exit(EXIT_OK if comparison.trustworthy else EXIT_UNTRUSTWORTHY)
