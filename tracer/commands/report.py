"""nettrace report FILE: shows a recording again, on any machine, without root."""

from __future__ import annotations

from pathlib import Path

import click

from tracer.commands.output import emit


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the document as JSON, derived anew.")
def command(file: Path, as_json: bool) -> None:
    """Show the recording FILE, made with --save."""
    from tracer.books.analysis import document_of
    from tracer.machine.recordings import load

    emit(document_of(load(file)), as_json)
