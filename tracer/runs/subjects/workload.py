"""A workload of ours: two processes of our engine, which knows itself what it sent and how."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Callable

from tracer.books.advice import command_line
from tracer.books.connections import Witness
from tracer.errors import WorkloadError
from tracer.machine.cgroups import open_cgroup
from tracer.machine.interrupts import interrupts
from tracer.machine.links import OpenLink
from tracer.machine.privilege import require
from tracer.machine.processes import Workers
from tracer.machine.users import User, invoking_user, user_name
from tracer.model import Experiment, Workload
from tracer.model.watching import Subject
from tracer.observers.flow import Flow
from workloads.process import Start, start_python


class OfWorkload:
    """It does the same work once a pass: prepare(), release(), then wait() or stop().

    Args:
        port: The receiver's; 0 takes a free one.
        start: How a worker's process is started.
        warn: Is told why a pass takes so long.

    Attributes:
        workers: Its processes, from open() on.
    """

    workers: Workers

    def __init__(
        self,
        experiment: Experiment,
        link: OpenLink,
        port: int,
        start: Start | None = None,
        warn: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._experiment, self._link, self._port = experiment, link, port
        self._start, self._warn = start or start_python, warn
        self._user: User | None = None

    def open(self, stack: contextlib.ExitStack) -> None:
        """Both processes, in a cgroup of their own, as whoever called sudo.

        Raises:
            PrivilegeError: they cannot run as that user.
        """
        self._user = invoking_user()
        if self._user is not None and self._user.uid != os.geteuid():
            what = f"cannot run the workload as {user_name(self._user.uid)}"
            require(what, "CAP_SETUID", "CAP_SETGID", "CAP_KILL")
        self._cgroup = stack.enter_context(open_cgroup())
        self.workers = stack.enter_context(self._workers())

    def _workers(self) -> Workers:
        link, user = self._link, self._user
        return Workers(
            self._experiment,
            address=link.address,
            port=self._port,
            sender_netns=link.sender_netns,
            receiver_netns=link.receiver_netns,
            uid=user.uid if user else None,
            gid=user.gid if user else None,
            cgroup=self._cgroup,
            peer=(link.address, link.port) if link.port is not None else None,
            wake=interrupts.wake,
            start=self._start,
            warn=self._warn,
        )

    @property
    def flow(self) -> Flow:
        """Which packets and sockets are its own; waits until the receiver listens."""
        receiver = self._link.receiver_netns_inode
        sender = self._link.sender_netns_inode
        away, transport = receiver is None, self.workers.transport
        port = self.workers.port
        return Flow(port, sender, receiver or 0, self._cgroup, leaves_machine=away, transport=transport)

    @property
    def runs_as(self) -> int:
        """User id."""
        return self._user.uid if self._user else os.geteuid()

    def prepare(self, messages: int | None, duration_s: float | None) -> None:
        """The connections of one pass; nothing is sent before release()."""
        self.workers.prepare(messages, duration_s)

    def release(self) -> None:
        """It sends."""
        self.workers.release()

    def wait(self) -> Workload:
        """What the engine counted in the pass, when it is over or given up."""
        return self.workers.collect()

    def stop(self) -> Workload | None:
        """End the pass now; what was sent until then."""
        return self.workers.stop()

    @property
    def stuck(self) -> WorkloadError | None:
        """Why the last pass was given up; None where it was not."""
        return self.workers.stuck

    def witness(self) -> Subject:
        """As who started it would do so again."""
        workers = self.workers
        pids = [workers.sender_pid, *([] if workers.receiver_pid is None else [workers.receiver_pid])]
        argv = shlex.split(command_line(self._experiment))
        return Subject(kind="workload", argv=argv, pids=pids, exit_status=0, user=self.runs_as)

    def engine(self) -> Witness | None:
        """What it counted of each connection of the last pass; None where it could not say."""
        return self.workers.witness()
