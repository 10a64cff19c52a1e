"""Records a command of the user's."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from tracer.machine.namespaces import netns_inode
from tracer.machine.running import name_of
from tracer.model.socket_recording import SocketRecording
from tracer.observers.sockets import Instant, SocketObserver
from tracer.runs.peer_names import PeerNames
from tracer.runs.session import Session, watched
from tracer.runs.subjects.command import OfCommand, Order


def record_command(order: Order, note: Callable[[str], None]) -> SocketRecording:
    """Start it, watch it, and say what its sockets did.

    Raises:
        CannotStart: it could not be executed; nothing of it has run.
        MachineError, PrivilegeError: it could not be watched; nothing of it has run.
    """
    with started(order) as session:
        session.subject.wait()
        recording = session.end()
    if left := recording.subject.left_running:
        note(f"{len(left)} of its processes go on, unwatched: {_named(left)}")
    return recording


@contextlib.contextmanager
def started(
    order: Order,
    output: int | None = None,
    on_instant: Callable[[Instant], None] | None = None,
    meanwhile: Callable[[], None] = lambda: None,
) -> Iterator[Session]:
    """A command that is started, and watched for the time of the block; signals wait for its end.

    Args:
        output: Descriptor that takes what it writes; its standard input is empty then, and it has no terminal.
        on_instant: As of SocketObserver.
        meanwhile: As of OfCommand.

    Raises:
        CannotStart: it could not be executed; nothing of it has run.
        MachineError, PrivilegeError: it could not be watched; nothing of it has run.
    """
    names = PeerNames(netns_inode(None))
    observer = SocketObserver(
        peers=order.peers, on_living=names.look_at, on_instant=on_instant, ends_soon=order.ends_soon
    )
    with watched(OfCommand(order, observer, output, meanwhile), names) as session:
        yield session


def _named(pids: list[int]) -> str:
    return ", ".join(f"{name_of(pid)} (pid {pid})" for pid in pids[:5]) + (" ..." if len(pids) > 5 else "")
