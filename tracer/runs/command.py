"""Records a command of the user's: its sockets and those of its descendants, from its first instruction on."""

from __future__ import annotations

import contextlib
import datetime
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tracer.books.socket_costs import profile_of
from tracer.books.socket_rows import Row
from tracer.books.ways import Surroundings, socket_of
from tracer.errors import MachineError
from tracer.machine import commands
from tracer.machine.cgroups import open_cgroup
from tracer.machine.commands import Command, User
from tracer.machine.namespaces import netns_inode
from tracer.machine.running import name_of
from tracer.model.socket_recording import SocketRecording
from tracer.model.sockets import Socket
from tracer.model.watching import Subject, Window
from tracer.observers.cgroup_sampler import PERIOD_NS, CgroupSampler
from tracer.observers.choice import require_permission
from tracer.observers.loading import Refusal
from tracer.observers.sockets import Instant, SocketObserver, own
from tracer.observers.watched import Watched
from tracer.runs.judging import with_findings
from tracer.runs.peer_names import PeerNames
from tracer.runs.socket_recording import recording_of, surroundings_of, window_since

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


def record_command(order: Order, note: Callable[[str], None]) -> SocketRecording:
    """Start it, watch it, and say what its sockets did.

    Raises:
        CannotStart: it could not be executed; nothing of it has run.
        MachineError, PrivilegeError: it could not be watched; nothing of it has run.
    """
    with started(order) as session:
        session.wait()
        recording = session.end()
    if left := recording.subject.left_running:
        note(f"{len(left)} of its processes go on, unwatched: {_named(left)}")
    return recording


@contextlib.contextmanager
def started(
    order: Order, output: int | None = None, on_instant: Callable[[Instant], None] | None = None
) -> Iterator[CommandSession]:
    """A command that is started, and watched for the time of the block; signals wait for its end.

    Args:
        output: Descriptor that takes what it writes; its standard input is empty then, and it has no terminal.
        on_instant: As of SocketObserver.

    Raises:
        CannotStart: it could not be executed; nothing of it has run.
        MachineError, PrivilegeError: it could not be watched; nothing of it has run.
    """
    commands.find_program(order.argv[0])
    require_permission()
    inherited = commands.inherited_sockets()
    names = PeerNames(netns_inode(None))
    observer = SocketObserver(
        peers=order.peers, on_living=names.look_at, on_instant=on_instant, ends_soon=order.ends_soon
    )
    sampler = CgroupSampler() if order.profile else None
    with contextlib.ExitStack() as stack:
        cgroup = stack.enter_context(open_cgroup())
        stack.callback(commands.give_back, cgroup)
        command = Command(order.argv, cgroup, order.user, output)
        stack.enter_context(commands.signals_held())
        stack.callback(observer.close)
        try:
            observer.attach(cgroup)
            if sampler is not None:
                stack.callback(sampler.close)
                _attach_sampler(sampler, cgroup)
        except BaseException:
            command.cancel()
            raise
        yield CommandSession(order, command, cgroup, observer, sampler, names, inherited)


class CommandSession:
    """A command that is watched from its first instruction, which is run now, until end()."""

    def __init__(
        self, order: Order, command: Command, cgroup: Path, observer: SocketObserver, sampler: CgroupSampler | None,
        names: PeerNames, inherited: list[str],
    ) -> None:  # fmt: skip
        self.observer = observer
        self._order, self._command, self._cgroup, self._sampler = order, command, cgroup, sampler
        self._names, self._inherited = names, inherited
        # As text: an argument may be any bytes, and a recording is JSON.
        self._argv = [os.fsencode(word).decode(errors="backslashreplace") for word in order.argv]
        self._around: Surroundings | None = None
        self._started, self.begin_ns = datetime.datetime.now(datetime.UTC), time.monotonic_ns()
        self._zero = self.begin_ns / 1e9, names.netns
        command.release()

    @property
    def title(self) -> str:
        """What runs."""
        return " ".join(self._argv)

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

    def sockets(self, rows: list[Row]) -> list[Socket]:
        """Those of these rows; of what rows do not say of themselves it is known what was so when so_far() looked."""
        self._around = self._around or surroundings_of(self.observer.so_far(rows=False), self._zero)
        return [self._names.named(socket_of(row, self._around)) for row in rows]

    def so_far(self) -> SocketRecording:
        """The recording until now."""
        window, left = window_since(self._started, self.begin_ns), commands.processes_in(self._cgroup)
        return with_findings(self._recording(self.observer.so_far(), window, left))

    def end(self) -> SocketRecording:
        """Stop watching; the recording."""
        left = commands.processes_in(self._cgroup)
        if self._sampler is not None:
            self._sampler.detach()
        if self._command.wait(0.0) is not None:
            self.observer.drain(_DRAIN_S)
        window = window_since(self._started, self.begin_ns)
        watched = self.observer.finish()
        folded = self._sampler.folded() if self._sampler is not None else None
        self._names.look(own((*watched.living, *watched.ended)))
        recording = self._recording(watched, window, left)
        return with_findings(recording if folded is None else _profiled(recording, *folded))

    def _recording(self, watched: Watched, window: Window, left: list[int]) -> SocketRecording:
        self._around, status = surroundings_of(watched, self._zero), self._command.wait(0.0)
        subject = Subject(
            kind="command",
            argv=self._argv,
            pids=[self._command.pid],
            exit_status=status,
            left_running=[pid for pid in left if pid != self._command.pid or status is None],
            user=self._order.user.uid if self._order.user else os.getuid(),
            inherited_sockets=self._inherited,
        )
        return recording_of(watched, subject, window, self._zero, self._names.named)


def _attach_sampler(sampler: CgroupSampler, cgroup: Path) -> None:
    try:
        sampler.attach(cgroup)
    except (OSError, Refusal) as error:
        raise MachineError("cannot sample the CPUs", str(error), "leave out --profile; see: nettrace doctor") from error


def _profiled(recording: SocketRecording, folded: dict[str, int], lost: int) -> SocketRecording:
    moved = recording.totals.sent_bytes + recording.totals.read_bytes
    profile = profile_of(folded, lost, PERIOD_NS, moved, recording.window.elapsed_s)
    return msgspec.structs.replace(recording, profile=profile)


def _named(pids: list[int]) -> str:
    return ", ".join(f"{name_of(pid)} (pid {pid})" for pid in pids[:5]) + (" ..." if len(pids) > 5 else "")
