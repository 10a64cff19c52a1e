"""nettrace serve: the receiver at the other end of --link nic --peer."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import click

from tracer.errors import MachineError

if TYPE_CHECKING:
    from workloads.serving import Connection


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=7700, show_default=True, help="0 takes any free one.")
@click.option("--bind", "address", default="0.0.0.0", show_default=True, help="Address to listen on.")
@click.option("--once", is_flag=True, help="End after one run, all its passes.")
def command(port: int, address: str, once: bool) -> None:
    """Receive what `nettrace run --link nic --peer HOST:PORT` sends; a line for each connection.

    It takes any number of connections, reads, and counts. Ctrl-C ends it.
    """
    from workloads.serving import Server

    # Not an Event: its set(), called from a signal handler that interrupts its wait(), waits for itself.
    ended, end = os.pipe()

    def tell(connection: Connection) -> None:
        problem = f" (broken: {connection.result})" if connection.result else ""
        if connection.bytes or problem:  # a run holds one idle connection until all its passes are over
            click.echo(f"{connection.peer} sent {connection.bytes} bytes{problem}")
        if once and all(other.ended.is_set() or other is connection for other in server.connections):
            os.write(end, b"x")

    try:
        server = Server(address, port, tell)
    except OSError as error:
        raise MachineError(f"cannot listen on {address}:{port}", error.strerror or str(error), "--port 0") from error
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os.write(end, b"x"))
    with server:
        click.echo(f"listening on {server.address}:{server.port}")
        os.read(ended, 1)
