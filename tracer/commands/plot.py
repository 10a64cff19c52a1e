"""nettrace plot DIR|FILE: the pictures of a sweep, or of a recording of sockets."""

from __future__ import annotations

from pathlib import Path

import click

from tracer.commands.output import note
from tracer.commands.sweep import DEFAULT_DIRECTORY
from tracer.errors import UsageError

Drawn = tuple[list[Path], list[str]]


@click.command()
@click.argument("source", metavar="[DIRECTORY|FILE]", type=click.Path(path_type=Path), default=DEFAULT_DIRECTORY)
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="[default: plots/ in DIRECTORY, FILE-plots/ beside FILE]",
)
def command(source: Path, output: Path | None) -> None:
    """Draw the sweep in DIRECTORY, or what `record` or `attach` wrote to FILE, as SVG and PNG; prints the files.

    What was not measured is named, not drawn.
    """
    files, skipped = _draw_sockets(source, output) if source.is_file() else _draw_sweep(source, output)
    for path in files:
        click.echo(path)
    for text in skipped:
        note(text)


def _draw_sweep(directory: Path, output: Path | None) -> Drawn:
    from tracer.reports.plots import draw_all
    from tracer.study.sweep_file import load_sweep

    sweep = load_sweep(directory)
    for text in sweep.notes:
        note(text)
    return draw_all(sweep, output or directory / "plots")


def _draw_sockets(file: Path, output: Path | None) -> Drawn:
    from tracer.books.recording import decode
    from tracer.books.socket_file import decode_sockets, is_of_sockets
    from tracer.machine.recordings import read
    from tracer.reports.plots_of_sockets import draw_sockets

    data = read(file)
    if not is_of_sockets(data):
        decode(data, str(file))  # says what is wrong with what is no recording at all
        raise UsageError(
            f"{file} holds no sockets", "plot draws what record and attach wrote, and sweeps",
            f"a sweep's directory; or one page: nettrace report {file} --html FILE",
        )  # fmt: skip
    return draw_sockets(decode_sockets(data, str(file)), output or file.with_name(f"{file.stem}-plots"))
