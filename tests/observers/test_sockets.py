"""Gathering rows of sockets, whatever else goes wrong."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from tests.command import compiled, needs
from tracer.machine.cgroups import open_cgroup
from tracer.machine.leftovers import cgroup2_mount
from tracer.observers import socket_programs, sockets
from tracer.observers.attached import no_cgroup
from tracer.observers.loading import Refusal
from tracer.observers.socket_programs import SocketPrograms
from tracer.observers.sockets import SocketObserver

TO_ITSELF = """
import socket
listener = socket.create_server(("127.0.0.1", 0))
a = socket.create_connection(listener.getsockname())
b = listener.accept()[0]
for _ in range(23):
    a.sendall(bytes(1009))
    assert len(b.recv(1009, socket.MSG_WAITALL)) == 1009
"""


class Ring:
    """Ends the gathering when it was asked for rows three times."""

    def __init__(self, observer: SocketObserver) -> None:
        self.observer, self.polls = observer, 0

    def poll(self, _most_ms: int) -> None:
        self.polls += 1
        if self.polls == 3:
            self.observer._stop.set()


def refuse() -> NoReturn:
    raise Refusal(24, "Too many open files")


def test_a_sample_that_is_refused_costs_no_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread goes on: rows that nobody takes would fill their buffer, and be lost."""
    observer = SocketObserver()
    ring = Ring(observer)
    monkeypatch.setattr(sockets, "_SAMPLE_S", 0.0)
    monkeypatch.setattr(observer, "_ring", ring, raising=False)
    monkeypatch.setattr(observer, "instant", refuse)
    monkeypatch.setattr(observer._run_times, "tick", lambda: None)

    observer._gather()

    assert (ring.polls, observer.samples) == (3, [])


@pytest.mark.live
@pytest.mark.parametrize(("by_ids", "calls"), [(False, 1), (True, 0)])
def test_where_processes_are_named_nobody_else_counts_from_the_first_moment(by_ids: bool, calls: int) -> None:
    """Calls on Unix sockets of this process, which is in the cgroup, and named by nobody."""
    root = cgroup2_mount()
    assert root is not None
    observer = SocketObserver(elements=no_cgroup() if by_ids else {})
    a, b = socket.socketpair()
    with a, b, contextlib.closing(observer):
        observer.attach(root)
        a.send(bytes(1009))
        found = observer.finish().unix

    ours = [counts for (pid, _, _), counts in found.items() if pid == os.getpid()]
    assert ours == [(1, 1009)] * calls
    assert by_ids is not bool(found)


@pytest.mark.live
def test_of_several_programs_at_a_hook_one_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the kernel preempts itself; here all of them see each call, at tracepoints, and say so but once."""
    monkeypatch.setattr(socket_programs, "preempts", lambda: True)
    monkeypatch.setattr(SocketPrograms, "_can_fexit", lambda *_: True)
    with open_cgroup() as cgroup, contextlib.closing(SocketObserver()) as observer:
        observer.attach(cgroup)
        enter = 'echo $$ >$0/cgroup.procs; exec $1 -c "$2"'
        subprocess.run(["sh", "-c", enter, cgroup, sys.executable, TO_ITSELF], check=True, timeout=60)
        observer.drain(10)
        found = observer.finish()

    assert (found.programs_per_hook, found.skipped) == (3, {})
    assert (found.totals["copied_out"], found.totals["consumed"]) == (23 * 1009, 23 * 1009)
    assert found.fates["told_again"] == 2 * found.fates["told"] > 0
    assert [found.fates[fate] for fate in ("made", "ended")] == [2, 2]


@pytest.mark.live
@needs("gcc")
def test_what_completions_told_goes_with_its_socket(tmp_path: Path) -> None:
    """Else a server of io_uring would fill the table, and later connections be in no way that is known."""
    program = compiled("uring_ways", tmp_path, "-luring")
    with open_cgroup() as cgroup, contextlib.closing(SocketObserver()) as observer:
        observer.attach(cgroup)
        enter = "echo $$ >$0/cgroup.procs; exec $1 send tcp"
        subprocess.run(["sh", "-c", enter, cgroup, program], check=True, timeout=60)
        observer.drain(10)
        found = observer.finish()
        left = list(observer.programs.maps.keys("by_rings"))

    assert (found.totals["sent_copy_bytes"], found.living, left) == (7 * 10007, [], [])
