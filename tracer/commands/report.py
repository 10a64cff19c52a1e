"""nettrace report FILE: shows a recording again, on any machine, without root."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tracer.commands.output import emit
from tracer.errors import UsageError


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the document as JSON, derived anew.")
@click.option("--csv", "as_csv", is_flag=True, help="Print the sockets of a `record` as CSV.")
@click.option(
    "--parquet",
    "parquet_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the sockets of a `record` to a Parquet file.",
)
@click.option("--by", type=click.Choice(["program", "port", "peer", "link"]), default="program", help="Group sockets.")
@click.option("--top", type=click.IntRange(1), default=10, help="Sockets and groups to list.")
def command(file: Path, as_json: bool, as_csv: bool, parquet_path: Path | None, by: str, top: int) -> None:
    """Show the recording FILE, made with run --save or record -o."""
    from tracer.books.analysis import document_of
    from tracer.books.socket_file import is_of_sockets
    from tracer.machine.recordings import load

    if is_of_sockets(file):
        _show_sockets(file, as_json, as_csv, parquet_path, (by, top))
    elif as_csv or parquet_path is not None:
        raise UsageError(f"{file} holds no sockets", "only what `record` wrote does", "nettrace record -o FILE -- CMD")
    else:
        emit(document_of(load(file)), as_json)


def _show_sockets(file: Path, as_json: bool, as_csv: bool, parquet_path: Path | None, view: tuple[str, int]) -> None:
    from tracer.books.socket_file import decode_sockets, document_of_sockets
    from tracer.reports.socket_tables import write_csv, write_parquet
    from tracer.reports.sockets import View, print_sockets
    from tracer.reports.terminal import make_console

    recording = decode_sockets(file.read_bytes(), str(file))
    if parquet_path is not None:
        write_parquet(recording, parquet_path)
    elif as_json:
        sys.stdout.write(document_of_sockets(recording, view[1]).decode())
    elif as_csv:
        write_csv(recording, sys.stdout)
    else:
        print_sockets(recording, make_console(sys.stdout), View(*view))
