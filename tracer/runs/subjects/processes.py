"""Processes that run already: their sockets, and those that they make or accept from now on."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Literal

from tracer.books.attach_findings import Uncounted, attached_findings
from tracer.books.socket_rows import Row
from tracer.errors import MachineError, UsageError
from tracer.machine import commands, running
from tracer.machine.cgroups import why_no_cgroup2
from tracer.machine.leftovers import cgroup2_mount
from tracer.machine.running import direct_descriptors
from tracer.model.socket_recording import SocketRecording
from tracer.model.watching import Subject
from tracer.observers.attached import Attachment, Descriptor, unseen
from tracer.observers.choice import require_permission
from tracer.observers.sockets import SocketObserver
from tracer.observers.uncounted import UncountedConnections
from tracer.observers.watched import Watched
from tracer.runs.judging import with_findings
from tracer.texts import counted

_LOOK_S = 0.05


class OfProcesses:
    """Nothing is done to them; what they have by now is seen by open(), or was seen when release() is over.

    Args:
        children: Descendants too, those that live and those that come.
        most_s: The watching ends after so long; None: with the last process, or when it is interrupted.
        note: Told who is watched, once they are.
    """

    kind: ClassVar[Literal["processes", "cgroup"]] = "processes"

    def __init__(
        self, pids: list[int], observer: SocketObserver, note: Callable[[str], None], *,
        children: bool = True, most_s: float | None = None,
    ) -> None:  # fmt: skip
        self._asked, self.observer, self._note = pids, observer, note
        self._children, self._most_s = children, most_s
        self._held: list[Descriptor] = []
        self._going_on: list[int] = []
        self._callers: set[int] = set()
        self._uncounted: Uncounted | None = None

    def open(self, stack: contextlib.ExitStack) -> None:
        """Attach live hooks first, then look at what is there.

        Raises:
            UsageError: a process cannot be watched, or none is there.
            MachineError, PrivilegeError: the kernel refuses.
        """
        running.require_own_ids()
        pids = self._processes()
        require_permission()
        root = cgroup2_mount()
        if root is None:
            raise MachineError("there is no cgroup2 hierarchy", *why_no_cgroup2())
        self._name = self._name_of(pids)
        # Before threads are started, which inherit it: an interrupt ends the waiting and nothing else.
        stack.enter_context(commands.signals_held())
        stack.callback(self.observer.close)
        self.observer.attach(root)
        self._attachment = Attachment(self.observer, self._cgroup, children=self._children)
        self._connections = self._attachment.begin(pids)
        self._users = running.users_of((*pids, *sorted(self._attachment.pids)))

    def release(self) -> None:
        """They run; what cannot be counted of them is noted down, and who they are is said."""
        attachment = self._attachment
        self._past = None if attachment.sees_the_past else UncountedConnections(attachment.alive())
        self._direct = [
            f"{one} (io_uring's, of pid {pid})" for pid in attachment.pids for one in direct_descriptors(pid)
        ]
        self.title = _named(attachment.alive())
        held = f"with {counted(self._connections, 'connection')}"
        if not attachment.sees_the_past:
            held = "without the connections that are there"
        self._note(f"watching {self.title}, {held}; Ctrl-C ends it")

    def wait(self) -> None:
        """Until the time is over, the last process has ended, or somebody interrupts."""
        deadline = None if self._most_s is None else time.monotonic() + self._most_s
        with contextlib.suppress(KeyboardInterrupt), commands.signals_let_in():
            while not self.is_over():
                left_s = _LOOK_S if deadline is None else min(_LOOK_S, deadline - time.monotonic())
                if left_s <= 0:
                    return
                time.sleep(left_s)

    def is_over(self) -> bool:
        """Whether the last process has ended."""
        return not self._attachment.alive()

    def leave(self) -> None:
        """Nothing is done to them."""

    def so_far(self) -> Watched:
        """What was counted until now."""
        self._held = self._attachment.descriptors()
        self._going_on = self._attachment.alive()
        return self._completed(self.observer.so_far())

    def end(self) -> Watched:
        """Connections as they were under their locks, before the programs go."""
        self._going_on = self._attachment.alive()
        connections, self._held = self._attachment.end()
        return self._completed(_at_one_moment(self.observer.finish(), connections))

    def known(self, rows: list[Row]) -> list[Row]:
        """With who holds what nobody has used yet."""
        return self._attachment.known(rows, self._held)

    def witness(self) -> Subject:
        """Who they were, and as whom they ran."""
        return Subject(
            kind=self.kind,
            argv=[self._name],
            pids=sorted((self._attachment.pids | self._callers) - {0}),
            exit_status=None if self._going_on else 0,
            user=self._users[0] if self._users else None,
            other_users=self._users[1:],
        )

    def told(self, recording: SocketRecording) -> SocketRecording:
        """With what of them was not seen."""
        return attached_findings(with_findings(recording), [*self._direct, *unseen(self._held)], self._uncounted)

    def _completed(self, watched: Watched) -> Watched:
        watched.living, watched.ended = self.known(watched.living), self.known(watched.ended)
        self._uncounted = None if self._past is None else _without_rows(self._past, self._going_on, watched)
        self._callers = {row.number("tgid") for row in (*watched.living, *watched.ended)}
        return watched

    @property
    def _cgroup(self) -> Path | None:
        """Whose sockets are watched whoever makes them."""
        return None

    def _processes(self) -> list[int]:
        if not self._asked:
            raise UsageError("no process is given", "pidof found none", "nettrace attach -p PID")
        for pid in self._asked:
            running.check(pid)
        return list(dict.fromkeys(running.process_of(pid) or pid for pid in self._asked))

    def _name_of(self, pids: list[int]) -> str:
        return running.name_of(pids[0])


def _without_rows(past: UncountedConnections, pids: list[int], watched: Watched) -> Uncounted:
    """What has no row, or none that can be read, is lost to the books: no figure of the recording is whole."""
    counted = {row.number("cookie") for row in (*watched.living, *watched.ended)}
    found = past.end(pids, counted, watched.refused.get("task_file", "refused"))
    # Rows that were made and cannot be read are lost already; their connections are among these.
    watched.fates["not_made"] += max(0, found.connections + found.ended - watched.lost)
    return found


def _named(pids: list[int]) -> str:
    return ", ".join(f"{running.name_of(pid)} {pid}" for pid in pids[:5]) + (" ..." if len(pids) > 5 else "")


def _at_one_moment(watched: Watched, connections: list[Row]) -> Watched:
    """Connections as they were under their locks, in place of what has become of them since."""
    ended, whole = ({row.number("cookie"): row for row in rows} for rows in (watched.ended, connections))
    others = [row for row in watched.living if row.number("cookie") not in whole]
    watched.living = [row for cookie, row in whole.items() if cookie not in ended] + others
    return watched
