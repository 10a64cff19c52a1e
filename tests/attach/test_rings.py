"""Sends by io_uring, which are no system calls: their way is told where there is a ring, or as soon as there is one."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.attach.targets import attached, held, programs, unheld
from tests.command import compiled, needs, wait_for
from tracer.machine.kernel.btf import Btf
from tracer.model.socket_recording import SocketRecording
from tracer.model.sockets import Transfer
from tracer.observers.choice import why_no_functions

pytestmark = [pytest.mark.live, needs("gcc")]

CALLS, SIZE = 23, 10007
# As the kernel cuts it off.
HOOK = b"on_tcp_sendmsg_"


@contextmanager
def sender(directory: Path) -> Iterator[subprocess.Popen[str]]:
    """A program that has connected, and waits for a line before each further step."""
    program = compiled("uring_sender", directory, "-luring")
    with subprocess.Popen([program, "report", "told"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as it:
        assert said(it) == "connected"
        yield it


def said(target: subprocess.Popen[str]) -> str:
    assert target.stdout is not None
    return target.stdout.readline().strip()


def go_on(target: subprocess.Popen[str]) -> None:
    assert target.stdin is not None
    target.stdin.write("\n")
    target.stdin.flush()


def is_exact(recording: SocketRecording) -> None:
    assert recording.totals.sent == {"uring_zerocopy": Transfer(calls=CALLS, bytes=CALLS * SIZE)}
    assert {"S1", "S2"} <= held(recording)
    assert (unheld(recording), recording.lost) == ([], 0)


def test_a_ring_that_was_there_is_exact_from_the_first_send(tmp_path: Path) -> None:
    """The hook that tells is there before the first call that is counted."""
    with sender(tmp_path) as target:
        go_on(target)
        assert said(target) == "has a ring"
        with attached(tmp_path, "-p", target.pid) as nettrace:
            go_on(target)
            target.wait(60)
            recording = nettrace.wait()

    is_exact(recording)


def test_a_ring_that_is_made_later_is_told_once_it_is_seen(tmp_path: Path) -> None:
    """Until then no send of the machine pays for that hook."""
    if Btf.of_running_kernel().tracepoint_id("tcp_sendmsg_locked") is None:
        pytest.skip("this kernel has no tracepoint tcp_sendmsg_locked")
    if why_no_functions() is None:
        pytest.skip("functions tell calls and ways here, those of io_uring too")
    before = programs(HOOK)
    with sender(tmp_path) as target, attached(tmp_path, "-p", target.pid) as nettrace:
        assert programs(HOOK) == before
        go_on(target)
        assert said(target) == "has a ring"
        wait_for(lambda: programs(HOOK) - before, "the hook for rings is not there")
        go_on(target)
        target.wait(60)
        recording = nettrace.wait()

    assert "tcp_sendmsg_locked" in recording.hooks.attached
    is_exact(recording)
