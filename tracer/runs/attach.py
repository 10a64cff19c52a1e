"""Watches processes that run already, or those of a cgroup."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tracer.machine.namespaces import netns_inode
from tracer.model.socket_recording import SocketRecording
from tracer.observers.attached import OF_PROCESSES, no_cgroup
from tracer.observers.sockets import Instant, SocketObserver
from tracer.runs.peer_names import PeerNames
from tracer.runs.session import Session, watched
from tracer.runs.subjects.cgroup import OfCgroup
from tracer.runs.subjects.processes import OfProcesses


@dataclass(frozen=True)
class Target:
    """What is attached to.

    Args:
        pids: Processes.
        cgroup: Or all of this one, and what is made in it later.
        children: Descendants too, those that live and those that come.
        most_s: The watching ends after so long; None: with the last process, or when it is interrupted.
        name: What the user calls it, of a cgroup or a unit.
    """

    pids: list[int]
    cgroup: Path | None = None
    children: bool = True
    most_s: float | None = None
    name: str | None = None


def attach_to(target: Target, note: Callable[[str], None]) -> SocketRecording:
    """Watch, and say what their sockets did meanwhile.

    Raises:
        UsageError: a process cannot be watched, or none is there.
        MachineError, PrivilegeError: the kernel refuses.
    """
    with attached(target, note) as session:
        session.subject.wait()
        return session.end()


@contextlib.contextmanager
def attached(
    target: Target, note: Callable[[str], None], on_instant: Callable[[Instant], None] | None = None
) -> Iterator[Session]:
    """Processes that are watched for the time of the block; signals wait for its end.

    Args:
        on_instant: As of SocketObserver.

    Raises:
        UsageError: a process cannot be watched, or none is there.
        MachineError, PrivilegeError: the kernel refuses.
    """
    names = PeerNames(netns_inode(None))
    observer = SocketObserver(plan=OF_PROCESSES, elements=no_cgroup(), on_living=names.look_at, on_instant=on_instant)
    with watched(_subject_of(target, observer, note), names) as session:
        yield session


def _subject_of(target: Target, observer: SocketObserver, note: Callable[[str], None]) -> OfProcesses:
    if target.cgroup is None:
        return OfProcesses(target.pids, observer, note, children=target.children, most_s=target.most_s)
    return OfCgroup(target.cgroup, target.name, observer, note, children=target.children, most_s=target.most_s)
