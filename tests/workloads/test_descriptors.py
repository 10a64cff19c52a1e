"""A thread's own table of descriptors."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from workloads.engine._engine import lib

from workloads.child import descriptors
from workloads.child.crew import Crew
from workloads.child.descriptors import close_others, own_table

pytestmark = pytest.mark.system


def in_a_thread(work: Callable[[], None]) -> None:
    """And wait for its end."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def test_a_thread_keeps_what_it_names_and_closes_nothing_of_the_others() -> None:
    """What it names, and the standard three; the process's table is as before."""
    kept, other = os.pipe()
    seen: list[bool] = []

    def work() -> None:
        assert own_table([kept])
        seen.extend(map(is_open, (0, 1, 2, kept, other)))

    in_a_thread(work)

    assert seen == [True, True, True, True, False]
    assert is_open(kept)
    assert is_open(other)
    os.close(kept)
    os.close(other)


def test_a_gate_that_the_process_opens_opens_for_a_thread_with_a_table_of_its_own() -> None:
    """A copy of the gate's writing end in any table would keep it shut."""
    reader, writer = os.pipe()
    pair = socket.socketpair()
    crew = Crew(lambda _job, _connection: len(os.read(reader, 1)), [None] * 2, list(pair), socket.SHUT_WR, reader)

    os.close(writer)
    crew.join()

    assert crew.results == [0, 0]
    os.close(reader)
    for one in pair:
        one.close()


def test_a_connection_ends_when_the_process_closes_it() -> None:
    """Threads that have ended hold none, even before they are gone: the peer sees the end at once."""
    ours, peer = socket.socketpair()
    crew = Crew(lambda _job, _connection: 0, [None, None], [ours, ours], socket.SHUT_WR)

    assert os.eventfd_read(crew.ended) == 1
    ours.close()

    peer.setblocking(False)
    assert peer.recv(1) == b""
    crew.join()
    peer.close()


def test_one_that_fails_sets_the_others_free() -> None:
    """It can shut down connections of others, table of its own or not."""
    pairs = [socket.socketpair() for _ in range(2)]

    def work(job: int, connection: socket.socket) -> int:
        return -5 if job else len(connection.recv(1))

    crew = Crew(work, [0, 1], [ours for ours, _ in pairs], socket.SHUT_RD)
    crew.join()

    assert crew.results == [0, -5]
    for one in (one for pair in pairs for one in pair):
        one.close()


def test_a_kernel_that_refuses_costs_time_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a container's seccomp filter does: the threads go on with the table that they share."""
    reader, writer = os.pipe()
    pair = socket.socketpair()
    monkeypatch.setattr(descriptors, "lib", SimpleNamespace(unshare=lambda _: -1, CLONE_FILES=lib.CLONE_FILES))
    crew = Crew(lambda _job, _connection: len(os.read(reader, 1)), [None], [pair[0]], socket.SHUT_WR, reader)

    os.close(writer)
    crew.join()

    assert crew.results == [0]
    assert is_open(reader)
    os.close(reader)
    for one in pair:
        one.close()


def test_the_standard_descriptors_stay() -> None:
    """A thread that dies has somewhere to say so."""
    seen: list[bool] = []

    def work() -> None:
        assert own_table([])
        close_others([])
        seen.extend(map(is_open, (0, 1, 2)))

    in_a_thread(work)

    assert seen == [True, True, True]
