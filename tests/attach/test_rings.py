"""Sends by io_uring, which are no system calls: their way is told by their completions."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.attach.targets import attached, held, unheld
from tests.command import compiled, needs
from tracer.model.socket_recording import SocketRecording
from tracer.model.sockets import Transfer

pytestmark = [pytest.mark.live, needs("gcc")]

CALLS, SIZE = 23, 10007


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
    with sender(tmp_path) as target:
        go_on(target)
        assert said(target) == "has a ring"
        with attached(tmp_path, "-p", target.pid) as nettrace:
            go_on(target)
            target.wait(60)
            recording = nettrace.wait()

    is_exact(recording)


def test_a_ring_that_is_made_later_is_exact_too(tmp_path: Path) -> None:
    """From its first request on, and nothing is attached for it that others would pay for."""
    with sender(tmp_path) as target, attached(tmp_path, "-p", target.pid) as nettrace:
        go_on(target)
        assert said(target) == "has a ring"
        go_on(target)
        target.wait(60)
        recording = nettrace.wait()

    assert "tcp_sendmsg_locked" not in recording.hooks.attached
    is_exact(recording)
