"""nettrace plot DIR: the pictures of a sweep."""

from __future__ import annotations

from pathlib import Path

import click

from tracer.commands.output import note
from tracer.commands.sweep import DEFAULT_DIRECTORY


@click.command()
@click.argument("directory", type=click.Path(path_type=Path), default=DEFAULT_DIRECTORY)
@click.option("--output", type=click.Path(path_type=Path, file_okay=False), help="[default: plots/ in DIRECTORY]")
def command(directory: Path, output: Path | None) -> None:
    """Draw the sweep in DIRECTORY, as SVG and PNG; prints the files. What was not measured is named, not drawn."""
    from tracer.reports.plots import draw_all
    from tracer.study.sweep_file import load_sweep

    sweep = load_sweep(directory)
    for text in sweep.notes:
        note(text)
    files, skipped = draw_all(sweep, output or directory / "plots")
    for path in files:
        click.echo(path)
    for text in skipped:
        note(text)
