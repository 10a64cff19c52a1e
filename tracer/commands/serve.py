"""nettrace serve: the receiver at the other end of --link nic --peer."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

import click

from tracer.errors import MachineError

if TYPE_CHECKING:
    from workloads.serving import Connection


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=7700, show_default=True, help="0 takes any free one.")
@click.option("--bind", "address", default="0.0.0.0", show_default=True, help="Address to listen on.")
@click.option("--once", is_flag=True, help="End when the first connections have ended and none is open.")
def command(port: int, address: str, once: bool) -> None:
    """Receive what `nettrace run --link nic --peer HOST:PORT` sends; a line for each connection.

    It takes any number of connections, reads, and counts. Ctrl-C ends it.
    """
    from workloads.serving import Server

    done = threading.Event()

    def tell(connection: Connection) -> None:
        problem = f" (broken: {connection.result})" if connection.result else ""
        click.echo(f"{connection.peer} sent {connection.bytes} bytes{problem}")
        if once and all(other.ended.is_set() or other is connection for other in server.connections):
            done.set()

    try:
        server = Server(address, port, tell)
    except OSError as error:
        raise MachineError(f"cannot listen on {address}:{port}", error.strerror or str(error), "--port 0") from error
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: done.set())
    with server:
        click.echo(f"listening on {server.address}:{server.port}")
        done.wait()
