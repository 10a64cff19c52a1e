"""Records a command of the user's: its sockets and those of its descendants, from its first instruction on."""

from __future__ import annotations

import contextlib
import datetime
import os
import platform
import socket as sockets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tracer.books.socket_findings import findings_of
from tracer.books.socket_rows import ROW_BYTES, Row
from tracer.books.ways import deferred_by_cookie, read_by_way, sent_by_way, socket_of, totals_of
from tracer.machine import commands
from tracer.machine.cgroups import open_cgroup
from tracer.machine.commands import Command, User
from tracer.model_sockets import SCHEMA_2, Hooks, Sample, Socket, SocketRecording, Subject, Window
from tracer.observers.sockets import SocketObserver, Watched

# What a socket that is closed may take to end, counted anew whenever one does.
_DRAIN_S = 1.0


@dataclass(frozen=True)
class Order:
    """What is asked for.

    Args:
        user: Whom the command runs as; None for whoever runs this.
        most_s: The watching ends after so long, the command does not.
        wait: Until the last descendant has ended.
    """

    argv: list[str]
    user: User | None = None
    most_s: float | None = None
    wait: bool = False


def record_command(order: Order, note: Callable[[str], None]) -> SocketRecording:
    """Start it, watch it, and say what its sockets did.

    Raises:
        CannotStart: it could not be executed; nothing of it has run.
        MachineError, PrivilegeError: it could not be watched; nothing of it has run.
    """
    commands.find_program(order.argv[0])
    inherited = commands.inherited_sockets()
    observer = SocketObserver()
    with contextlib.ExitStack() as stack:
        cgroup = stack.enter_context(open_cgroup())
        stack.callback(commands.give_back, cgroup)
        command = Command(order.argv, cgroup, order.user)
        stack.enter_context(commands.signals_held())
        stack.callback(observer.close)
        try:
            observer.attach(cgroup)
        except BaseException:
            command.cancel()
            raise
        started, begin_ns = datetime.datetime.now(datetime.UTC), time.monotonic_ns()
        command.release()
        status = _watch(command, cgroup, order)
        left = commands.processes_in(cgroup)
        observer.drain(_DRAIN_S)
        elapsed_s = (time.monotonic_ns() - begin_ns) / 1e9
        watched = observer.finish()
    subject = Subject(
        kind="command",
        argv=order.argv,
        pids=[command.pid],
        exit_status=status,
        left_running=[pid for pid in left if pid != command.pid or status is None],
        user=order.user.uid if order.user else os.getuid(),
        inherited_sockets=inherited,
    )
    if subject.left_running:
        note(f"{len(subject.left_running)} of its processes go on, unwatched: {_named(subject.left_running)}")
    window = Window(started=started.isoformat(timespec="milliseconds"), elapsed_s=round(elapsed_s, 6))
    return recording_of(watched, subject, window, begin_ns / 1e9)


def _watch(command: Command, cgroup: Path, order: Order) -> int | None:
    deadline = None if order.most_s is None else time.monotonic() + order.most_s
    status = command.wait(order.most_s)
    if status is not None and order.wait:
        most_s = None if deadline is None else max(0.0, deadline - time.monotonic())
        with contextlib.suppress(KeyboardInterrupt), commands.signals_let_in():
            commands.wait_until_empty(cgroup, most_s)
    return status


def _named(pids: list[int]) -> str:
    return ", ".join(f"{_comm(pid)} (pid {pid})" for pid in pids[:5]) + (" ..." if len(pids) > 5 else "")


def _comm(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "ended"


def recording_of(watched: Watched, subject: Subject, window: Window, zero_s: float) -> SocketRecording:
    """The recording of what was counted."""
    by_functions, attached = watched.calls == "fexit", frozenset(watched.attached)
    by_cookie = None if watched.deferred is None else deferred_by_cookie(watched.deferred)

    own_netns = Path("/proc/self/ns/net").stat().st_ino

    def words(row: Row) -> Socket:
        return socket_of(
            row, by_functions=by_functions, attached=attached, notified=watched.notified, deferred=by_cookie,
            device=_device, zero_s=zero_s, own_netns=own_netns,
        )  # fmt: skip

    listed = [words(row) for row in (*watched.ended, *watched.living)]
    totals = dict(watched.totals)
    for row in watched.living:
        for name, value in row.counters.items():
            totals[name] += value
    hooks = Hooks(
        calls=watched.calls,
        attached=watched.attached,
        refused=watched.refused,
        skipped=watched.skipped,
        row_bytes=ROW_BYTES,
    )
    recording = SocketRecording(
        schema=SCHEMA_2,
        kernel=platform.release(),
        subject=subject,
        window=window,
        hooks=hooks,
        sockets=listed,
        totals=totals_of(
            totals, listed, watched.unlisted > 0, by_functions, attached, watched.deferred, watched.notified
        ),
        unlisted_sockets=watched.unlisted,
        lost=watched.lost,
        created_sockets=watched.fates["created"],
        sizes=watched.sizes,
        samples=[
            Sample(
                t=round(at / 1e9 - zero_s, 3),
                sent={way: moved.bytes for way, moved in sent_by_way(counters, is_udp=False).items()},
                read={way: moved.bytes for way, moved in read_by_way(counters, by_functions).items()},
            )
            for at, counters in watched.samples
        ],
    )
    return findings_of(recording)


def _device(index: int) -> str | None:
    try:
        return sockets.if_indextoname(index)
    except OSError:  # of another network namespace, or gone
        return None
