"""What is left to a CPU of the network stack's."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tracer.machine.softnet import rouse_cpus


def received() -> list[int]:
    """Packets that each CPU's backlog has taken."""
    return [int(line.split()[0], 16) for line in Path("/proc/net/softnet_stat").read_text().splitlines()]


@pytest.mark.system
def test_each_cpu_receives_something() -> None:
    """And this thread runs where it ran before."""
    own, before = os.sched_getaffinity(0), received()

    rouse_cpus()

    assert all(now > then for now, then in zip(received(), before, strict=True))
    assert os.sched_getaffinity(0) == own


@pytest.mark.system
def test_without_loopback_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container without one."""

    def refuse(*_arguments: object, **_more: object) -> None:
        raise OSError(99, "Cannot assign requested address")

    own = os.sched_getaffinity(0)
    monkeypatch.setattr(socket.socket, "bind", refuse)

    rouse_cpus()

    assert os.sched_getaffinity(0) == own
