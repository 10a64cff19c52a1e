"""nettrace serve: the receiver at the other end of --link nic --peer."""

from __future__ import annotations

import os
import select
from typing import TYPE_CHECKING

import click

from tracer.errors import MachineError, reason_of

if TYPE_CHECKING:
    from workloads.serving import Connection


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=7700, show_default=True, help="0 takes any free one.")
@click.option("--bind", "address", default="0.0.0.0", show_default=True, help="Address to listen on.")
@click.option("--once", is_flag=True, help="End with the first run, when all its passes are done.")
def command(port: int, address: str, once: bool) -> None:
    """Receive what `nettrace run --link nic --peer HOST:PORT` sends; a line for each connection.

    It takes any number of connections, reads, and counts. Ctrl-C ends it.
    """
    from tracer.machine.interrupts import interrupts
    from workloads.serving import Server

    # A signal is the usual end of this command: it is looked at, and nothing is torn away in the middle.
    interrupts.hold()
    done = os.eventfd(0, os.EFD_CLOEXEC)

    def tell(connection: Connection) -> None:
        # A run holds an idle connection from before its first pass until after its last one.
        heard = _tell(connection) if connection.bytes or connection.result else True
        if not heard or (once and server.all_ended):
            os.eventfd_write(done, 1)

    try:
        server = Server(address, port, tell)
    except OSError as error:
        fix = "another --port, or 0 for any free one; --bind takes an IPv4 address of this machine"
        raise MachineError(f"cannot listen on {address}:{port}", reason_of(error), fix) from error
    with server:
        click.echo(f"listening on {server.address}:{server.port}")
        _wait_for_any(done, interrupts.wake)


def _tell(connection: Connection) -> bool:
    """Whether anybody still reads what is told."""
    problem = f" (broken: {os.strerror(-connection.result)})" if connection.result else ""
    try:
        click.echo(f"{connection.peer} sent {connection.bytes} byte{'s'[connection.bytes == 1 :]}{problem}")
    except OSError:
        return False
    return True


def _wait_for_any(*descriptors: int | None) -> None:
    waiting = select.poll()
    for descriptor in descriptors:
        if descriptor is not None:
            waiting.register(descriptor, select.POLLIN)
    waiting.poll()
