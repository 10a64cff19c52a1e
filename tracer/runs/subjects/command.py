"""A command of the user's: its sockets and those of its descendants, from its first instruction on."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tracer.books.socket_costs import profile_of
from tracer.books.socket_rows import Row
from tracer.errors import MachineError
from tracer.machine import commands
from tracer.machine.cgroups import open_cgroup
from tracer.machine.commands import Command, User
from tracer.model.socket_recording import SocketRecording
from tracer.model.watching import Subject
from tracer.observers.cgroup_sampler import PERIOD_NS, CgroupSampler
from tracer.observers.choice import require_permission
from tracer.observers.loading import Refusal
from tracer.observers.sockets import SocketObserver
from tracer.observers.watched import Watched
from tracer.runs.judging import with_findings

# What a socket that is closed may take to end, counted anew whenever one does.
_DRAIN_S = 1.0
# What a command may take to end, of which that is asked.
_END_S = 2.0


@dataclass(frozen=True)
class Order:
    """What is asked for.

    Args:
        user: Whom the command runs as; None for whoever runs this.
        most_s: The watching ends after so long, the command does not.
        wait: Until the last descendant has ended.
        profile: Its CPU time is sampled.
        peers: The other ends of its connections are watched too, where these are on this machine.
        ends_soon: This process ends when it has answered.
    """

    argv: list[str]
    user: User | None = None
    most_s: float | None = None
    wait: bool = False
    peers: bool = False
    profile: bool = False
    ends_soon: bool = False


class OfCommand:
    """It is started by open(), and stands at a gate before its first instruction until release().

    Args:
        output: Descriptor that takes what it writes; its standard input is empty then, and it has no terminal.
        meanwhile: Called when it stands at the gate, before anything is attached: from here on there may be threads.
    """

    def __init__(
        self,
        order: Order,
        observer: SocketObserver,
        output: int | None = None,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> None:
        self._order, self.observer, self._output, self._meanwhile = order, observer, output, meanwhile
        # As text: an argument may be any bytes, and a recording is JSON.
        self._argv = [os.fsencode(word).decode(errors="backslashreplace") for word in order.argv]
        self._sampler = CgroupSampler() if order.profile else None
        self._folded: tuple[dict[str, int], int] | None = None
        self.title = " ".join(self._argv)
        self.going_on: list[int] = []

    def open(self, stack: contextlib.ExitStack) -> None:
        """Start it, and attach everything.

        Raises:
            CannotStart: it could not be executed; nothing of it has run.
            MachineError, PrivilegeError: it could not be watched; nothing of it has run.
        """
        commands.find_program(self._order.argv[0])
        require_permission()
        self._inherited = commands.inherited_sockets()
        self._cgroup = stack.enter_context(open_cgroup())
        stack.callback(commands.give_back, self._cgroup)
        self._command = Command(self._order.argv, self._cgroup, self._order.user, self._output)
        stack.enter_context(commands.signals_held())
        self._meanwhile()
        stack.callback(self.observer.close)
        try:
            self.observer.attach(self._cgroup)
            if self._sampler is not None:
                stack.callback(self._sampler.close)
                _attach_sampler(self._sampler, self._cgroup)
        except BaseException:
            self._command.cancel()
            raise

    def release(self) -> None:
        """Its first instruction is run."""
        self._command.release()

    def wait(self) -> None:
        """Until it has ended, its descendants too if that was asked for, or the time is over."""
        order = self._order
        deadline = None if order.most_s is None else time.monotonic() + order.most_s
        status = self._command.wait(order.most_s)
        if status is not None and order.wait:
            most_s = None if deadline is None else max(0.0, deadline - time.monotonic())
            with contextlib.suppress(KeyboardInterrupt), commands.signals_let_in():
                commands.wait_until_empty(self._cgroup, most_s)

    def is_over(self) -> bool:
        """Whether it and its descendants have ended."""
        return self._command.wait(0.0) is not None and not commands.processes_in(self._cgroup)

    def leave(self) -> None:
        """Have it end, if it has not; whoever takes too long goes on."""
        if self._command.wait(0.0) is None:
            self._command.terminate()
            self._command.wait(_END_S)

    def so_far(self) -> Watched:
        """What was counted until now."""
        self.going_on = commands.processes_in(self._cgroup)
        return self.observer.so_far()

    def end(self) -> Watched:
        """When its closed sockets have ended too."""
        self.going_on = commands.processes_in(self._cgroup)
        if self._sampler is not None:
            self._sampler.detach()
        if self._command.wait(0.0) is not None:
            self.observer.drain(_DRAIN_S)
        watched = self.observer.finish()
        self._folded = self._sampler.folded() if self._sampler is not None else None
        return watched

    def known(self, rows: list[Row]) -> list[Row]:
        """The programs have seen all there is."""
        return rows

    def witness(self) -> Subject:
        """With its exit code, if it has one, and who goes on."""
        status = self._command.wait(0.0)
        return Subject(
            kind="command",
            argv=self._argv,
            pids=[self._command.pid],
            exit_status=status,
            left_running=[pid for pid in self.going_on if pid != self._command.pid or status is None],
            user=self._order.user.uid if self._order.user else os.getuid(),
            inherited_sockets=self._inherited,
        )

    def told(self, recording: SocketRecording) -> SocketRecording:
        """With its CPU time, if that was sampled."""
        return with_findings(recording if self._folded is None else _profiled(recording, *self._folded))


def _attach_sampler(sampler: CgroupSampler, cgroup: Path) -> None:
    try:
        sampler.attach(cgroup)
    except (OSError, Refusal) as error:
        raise MachineError("cannot sample the CPUs", str(error), "leave out --profile; see: nettrace doctor") from error


def _profiled(recording: SocketRecording, folded: dict[str, int], lost: int) -> SocketRecording:
    moved = recording.totals.sent_bytes + recording.totals.read_bytes
    profile = profile_of(folded, lost, PERIOD_NS, moved, recording.window.elapsed_s)
    return msgspec.structs.replace(recording, profile=profile)
