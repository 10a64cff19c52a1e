"""nettrace diff A B: two recordings side by side."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tracer.commands.output import write_json

if TYPE_CHECKING:
    from tracer.model import Document
    from tracer.model.socket_recording import SocketRecording

_file = click.Path(path_type=Path)


@click.command()
@click.argument("a", type=_file)
@click.argument("b", type=_file)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(a: Path, b: Path, as_json: bool) -> None:
    """Show the recordings A and B side by side, made with run --save or record -o.

    A difference is named only where the figures can be compared: both did the same work, or the figure is per byte,
    call or packet.
    """
    from tracer.books.difference import difference_of
    from tracer.reports.difference import encode_difference, print_difference
    from tracer.reports.tables import make_console

    found = difference_of(_read(a), _read(b), (a.name, b.name))
    if as_json:
        write_json(encode_difference(found))
    else:
        print_difference(found, make_console(sys.stdout))


def _read(file: Path) -> Document | SocketRecording:
    from tracer.books.analysis import document_of
    from tracer.books.recording import decode
    from tracer.books.socket_file import decode_sockets, is_of_sockets
    from tracer.machine.recordings import read

    data = read(file)
    if is_of_sockets(data):
        return decode_sockets(data, str(file))
    return document_of(decode(data, str(file)))
