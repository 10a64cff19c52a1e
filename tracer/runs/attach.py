"""Watches processes that run already: their sockets, and those that they make or accept from now on."""

from __future__ import annotations

import contextlib
import datetime
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tracer.books.attach_findings import Uncounted, attached_findings
from tracer.books.socket_rows import Row
from tracer.books.ways import Surroundings, socket_of
from tracer.errors import MachineError, UsageError
from tracer.machine import commands, running
from tracer.machine.cgroups import why_no_cgroup2
from tracer.machine.leftovers import cgroup2_mount
from tracer.machine.namespaces import netns_inode
from tracer.machine.running import direct_descriptors
from tracer.model.socket_recording import SocketRecording
from tracer.model.sockets import Socket
from tracer.model.watching import Subject, Window
from tracer.observers.attached import OF_PROCESSES, Attachment, Descriptor, no_cgroup, unseen
from tracer.observers.choice import require_permission
from tracer.observers.sockets import Instant, SocketObserver, own
from tracer.observers.uncounted import UncountedConnections
from tracer.observers.watched import Watched
from tracer.runs.judging import with_findings
from tracer.runs.peer_names import PeerNames
from tracer.runs.socket_recording import recording_of, surroundings_of, window_since
from tracer.texts import counted

_LOOK_S = 0.05


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
        _watch(session, target.most_s)
        return session.end()


@contextlib.contextmanager
def attached(
    target: Target, note: Callable[[str], None], on_instant: Callable[[Instant], None] | None = None
) -> Iterator[AttachedSession]:
    """Processes that are watched for the time of the block; signals wait for its end.

    Args:
        on_instant: As of SocketObserver.

    Raises:
        UsageError: a process cannot be watched, or none is there.
        MachineError, PrivilegeError: the kernel refuses.
    """
    running.require_own_ids()
    pids = _processes(target)
    require_permission()
    root = cgroup2_mount()
    if root is None:
        raise MachineError("there is no cgroup2 hierarchy", *why_no_cgroup2())
    names = PeerNames(netns_inode(None))
    name = target.name or (running.name_of(pids[0]) if pids else str(target.cgroup))
    observer = SocketObserver(plan=OF_PROCESSES, elements=no_cgroup(), on_living=names.look_at, on_instant=on_instant)
    with contextlib.ExitStack() as stack:
        # Before threads are started, which inherit it: an interrupt ends the waiting and nothing else.
        stack.enter_context(commands.signals_held())
        stack.callback(observer.close)
        observer.attach(root)
        attachment = Attachment(observer, target.cgroup, children=target.children)
        number = attachment.begin(pids)
        session = AttachedSession(observer, attachment, names, name, pids)
        held = f"with {counted(number, 'connection')}"
        if not attachment.sees_the_past:
            held = "without the connections that are there"
        note(f"watching {session.title}, {held}; Ctrl-C ends it")
        yield session


class AttachedSession:
    """Processes that are watched until end()."""

    def __init__(
        self, observer: SocketObserver, attachment: Attachment, names: PeerNames, name: str, pids: list[int]
    ) -> None:
        self.observer = observer
        self._attachment, self._names, self._name = attachment, names, name
        self._started, self.begin_ns = datetime.datetime.now(datetime.UTC), time.monotonic_ns()
        self._users = running.users_of((*pids, *sorted(attachment.pids)))
        self._past = None if attachment.sees_the_past else UncountedConnections(attachment.alive())
        self._held: list[Descriptor] = []
        self._direct = [
            f"{one} (io_uring's, of pid {pid})" for pid in attachment.pids for one in direct_descriptors(pid)
        ]
        self.title = _named(attachment.alive())
        self._zero = self.begin_ns / 1e9, names.netns
        self._around: Surroundings | None = None

    def sockets(self, rows: list[Row]) -> list[Socket]:
        """Those of these rows; of what rows do not say of themselves it is known what was so when so_far() looked."""
        self._around = self._around or surroundings_of(self.observer.so_far(rows=False), self._zero)
        known = self._attachment.known(rows, self._held)
        return [self._names.named(socket_of(row, self._around)) for row in known]

    def is_over(self) -> bool:
        """Whether the last process has ended."""
        cgroup = self._attachment.cgroup
        return not (self._attachment.alive() or (cgroup is not None and running.is_populated(cgroup)))

    def leave(self) -> None:
        """Nothing is done to them."""

    def so_far(self) -> SocketRecording:
        """The recording until now."""
        window, self._held = window_since(self._started, self.begin_ns), self._attachment.descriptors()
        return self._recording(self.observer.so_far(), window, self._attachment.alive())

    def end(self) -> SocketRecording:
        """Stop watching; the recording."""
        window = window_since(self._started, self.begin_ns)
        going_on = self._attachment.alive()
        connections, self._held = self._attachment.end()
        watched = _at_one_moment(self.observer.finish(), connections)
        self._names.look(own([*watched.living, *watched.ended]))
        return self._recording(watched, window, going_on)

    def _recording(self, watched: Watched, window: Window, going_on: list[int]) -> SocketRecording:
        watched.living, watched.ended = (
            self._attachment.known(rows, self._held) for rows in (watched.living, watched.ended)
        )
        uncounted = None if self._past is None else _without_rows(self._past, going_on, watched)
        self._around = surroundings_of(watched, self._zero)
        callers = {row.number("tgid") for row in (*watched.living, *watched.ended)}
        subject = Subject(
            kind="processes" if self._attachment.cgroup is None else "cgroup",
            argv=[self._name],
            pids=sorted((self._attachment.pids | callers) - {0}),
            exit_status=None if going_on else 0,
            user=self._users[0] if self._users else None,
            other_users=self._users[1:],
        )
        recording = recording_of(watched, subject, window, self._zero, self._names.named)
        return attached_findings(with_findings(recording), [*self._direct, *unseen(self._held)], uncounted)


def _without_rows(past: UncountedConnections, pids: list[int], watched: Watched) -> Uncounted:
    """What has no row, or none that can be read, is lost to the books: no figure of the recording is whole."""
    found = past.end(pids, {row.number("cookie") for row in watched.ended}, watched.refused.get("task_file", "refused"))
    # Rows that were made and cannot be read are lost already; their connections are among these.
    watched.fates["not_made"] += max(0, found.connections + found.ended - watched.lost)
    return found


def _processes(target: Target) -> list[int]:
    pids = commands.processes_in(target.cgroup) if target.cgroup else target.pids
    if not pids and target.cgroup is None:
        raise UsageError("no process is given", "pidof found none", "nettrace attach -p PID")
    if target.cgroup:
        return [pid for pid in pids if pid != os.getpid()]
    for pid in pids:
        running.check(pid)
    return list(dict.fromkeys(running.process_of(pid) or pid for pid in pids))


def _named(pids: list[int]) -> str:
    return ", ".join(f"{running.name_of(pid)} {pid}" for pid in pids[:5]) + (" ..." if len(pids) > 5 else "")


def _watch(session: AttachedSession, most_s: float | None) -> None:
    """Until the time is over, the last process has ended, or somebody interrupts."""
    deadline = None if most_s is None else time.monotonic() + most_s
    with contextlib.suppress(KeyboardInterrupt), commands.signals_let_in():
        while not session.is_over():
            left_s = _LOOK_S if deadline is None else min(_LOOK_S, deadline - time.monotonic())
            if left_s <= 0:
                return
            time.sleep(left_s)


def _at_one_moment(watched: Watched, connections: list[Row]) -> Watched:
    """Connections as they were under their locks, in place of what has become of them since."""
    ended, whole = ({row.number("cookie"): row for row in rows} for rows in (watched.ended, connections))
    others = [row for row in watched.living if row.number("cookie") not in whole]
    watched.living = [row for cookie, row in whole.items() if cookie not in ended] + others
    return watched
