"""nettrace sweep: the study's whole experiment, into a directory."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tracer.commands.options import MODES, SIZES, THREADS, Bytes, progress_bar
from tracer.commands.output import note
from tracer.commands.recorder import lab_option, record_run, setup_option
from tracer.commands.run import Seconds
from tracer.model import Link, ObserverChoice

DEFAULT_DIRECTORY = Path("nettrace-sweep")
DEFAULT_MODES, DEFAULT_SIZES, DEFAULT_THREADS = "twocopy,onecopy,zerocopy", "1024,4096,16384,65536", "1,2,4,8"
DEFAULT_SEED = 1


@click.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False), default=DEFAULT_DIRECTORY)
@click.option("--modes", type=MODES, default=DEFAULT_MODES, show_default=True)
@click.option("--sizes", type=SIZES, default=DEFAULT_SIZES, show_default=True, help="Bytes of a message.")
@click.option("--threads", type=THREADS, default=DEFAULT_THREADS, show_default=True, help="Connections.")
@click.option("--repetitions", type=click.IntRange(1, 1000), default=5, show_default=True)
@click.option("--seed", type=int, default=DEFAULT_SEED, show_default=True, help="Of the order of the runs.")
@click.option("--link", type=click.Choice([link.value for link in Link]), default="lo", show_default=True)
@click.option("--peer", help="HOST:PORT of `nettrace serve`, for --link nic.")
@click.option(
    "--observer",
    type=click.Choice([choice.value for choice in ObserverChoice]),
    default="auto",
    show_default=True,
    help="What watches the first run of each combination.",
)
@click.option("--bytes-budget", type=Bytes(), default="256M", show_default=True, help="Payload of one run, at most.")
@click.option("--time-budget", type=Seconds(), help="Seconds that one run sends, instead of its bytes.")
@click.option("--aa", is_flag=True, help="Check the noise: each mode runs twice, under two labels.")
@lab_option
@setup_option
@click.option("--json", "as_json", is_flag=True, help="Print the medians and crossovers as one JSON document.")
def command(
    directory: Path,
    modes: list[str],
    sizes: list[int],
    threads: list[int],
    repetitions: int,
    seed: int,
    link: str,
    peer: str | None,
    observer: str,
    bytes_budget: int,
    time_budget: float | None,
    aa: bool,
    lab: str | None,
    setup: list[str],
    as_json: bool,
) -> None:
    """Run all modes at all sizes and numbers of threads, several times in shuffled order, into DIRECTORY.

    Interrupt it as you like: the same command goes on where it was. The default takes some five minutes.
    """
    from tracer.study.sweep import sweep
    from tracer.study.sweep_plan import Plan

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
        bytes_budget=bytes_budget,
        time_budget_s=time_budget,
        same_mode_twice=aa,
    )
    with progress_bar("sweep") as progress:
        finished = sweep(plan, directory, progress, record_run)
    note(f"saved in {directory}: runs.parquet, runs.csv, summary.csv, manifest.json")
    from tracer.reports.sweep import encode_sweep, print_sweep
    from tracer.reports.terminal import make_console

    if as_json:
        sys.stdout.write(encode_sweep(finished))
    else:
        print_sweep(finished, make_console(sys.stdout))
