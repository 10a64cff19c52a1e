"""A side that stops, hangs, dies or goes away: named, with what was sent until then, and nothing left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import NamedTuple, TypeVar

import pytest

from tests.command import wait_for
from tests.workloads.passes import (
    at_once,
    experiment,
    is_gone,
    needs_root,
    network_namespace,
    wait_until_blocked,
    wait_until_sending,
)
from tracer.errors import WorkloadError
from tracer.machine import processes
from tracer.machine.processes import Workers
from tracer.model import Workload

pytestmark = pytest.mark.system

# A deadline that is reached, and one that no test lives to see.
SHORT_S, NEVER_S = 2.0, 3600.0
UNREAD = [("twocopy", 10007), ("onecopy", 16 << 20), ("zerocopy", 100_003)]


@pytest.mark.parametrize(("mode", "size"), UNREAD)
def test_stop_waits_for_no_process_that_is_stopped(mode: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGSTOP for the receiver: the sender reports its exact partial count, although no deadline passes."""
    monkeypatch.setattr(processes, "STOP_DEADLINE_S", NEVER_S)
    with Workers(experiment(mode, size, 5, verify=False), address="127.0.0.1") as workers:
        workers.prepare(None, 600.0)
        receiver = workers.receiver_pid
        assert receiver is not None
        os.kill(receiver, signal.SIGSTOP)
        workers.release()
        wait_until_blocked(workers.port)
        result = workers.stop()

        assert result is not None
        assert result.received_bytes is None
        assert 0 < result.payload_bytes < (result.messages + 5) * size
        pids = [workers.sender_pid, receiver]
    assert all(is_gone(pid) for pid in pids)


T = TypeVar("T")


class Stuck(NamedTuple):
    """An endless pass that was brought to a standstill.

    Args:
        result: What is left of it.
        why: It was given up.
        pids: Of its workers, which have been ended.
    """

    result: Workload
    why: WorkloadError
    pids: list[int]


Passes = Mapping[str, Future[Stuck]]


def stuck_passes(
    begin: Callable[[str], AbstractContextManager[Workers]],
    stop: Callable[[Workers], object],
    end: Callable[[Workers], T],
) -> Mapping[str, Future[T]]:
    """Of every mode one, brought to a standstill one after the other; the deadlines are waited out together.

    Until then each sends as fast as it can, and would keep others from their start.
    """
    turn = threading.Lock()

    def one(mode: str) -> T:
        with contextlib.ExitStack() as stack:
            with turn:
                workers = stack.enter_context(begin(mode))
                bring_to_a_standstill(workers, stop)
            return end(workers)

    return at_once(one)


def bring_to_a_standstill(workers: Workers, stop: Callable[[Workers], object]) -> None:
    workers.prepare(None, 600.0)
    workers.release()
    wait_until_sending(workers.port, workers.sender_pid)
    stop(workers)


def given_up(workers: Workers) -> Stuck:
    pids = [pid for pid in (workers.sender_pid, workers.receiver_pid) if pid]
    result = workers.collect()
    assert workers.stuck is not None
    return Stuck(result, workers.stuck, pids)


def stop_receiver(workers: Workers) -> None:
    os.kill(workers.receiver_pid or 0, signal.SIGSTOP)


def stop_sender(workers: Workers) -> None:
    os.kill(workers.sender_pid, signal.SIGSTOP)


@pytest.fixture(scope="module")
def stopped_receivers() -> Passes:
    def begin(mode: str) -> Workers:
        return Workers(experiment(mode, 10007, 3), address="127.0.0.1", patience_s=SHORT_S)

    return stuck_passes(begin, stop_receiver, given_up)


def test_a_stopped_receiver_ends_the_pass_with_what_was_sent(mode: str, stopped_receivers: Passes) -> None:
    """No deadline of a mode's own: nothing moves, so the partial result stands, and the culprit is named."""
    result, stuck, pids = stopped_receivers[mode].result()

    assert result.payload_bytes >= (result.bytes_acked or 0) > 0
    assert (result.received_bytes, result.verified) == (None, None)
    assert stuck.what == "nothing has moved for 2 s: the receiver's process is stopped"
    assert f"the peer's TCP acknowledged {result.bytes_acked:,} B" in stuck.why
    assert [pid for pid in pids if not is_gone(pid)] == []


@pytest.fixture(scope="module")
def stopped_senders() -> Mapping[str, Future[list[int]]]:
    def begin(mode: str) -> Workers:
        return Workers(experiment(mode, 10007), address="127.0.0.1", patience_s=SHORT_S)

    def end(workers: Workers) -> list[int]:
        pids = [workers.sender_pid, workers.receiver_pid or 0]
        with pytest.raises(WorkloadError, match="nothing has moved for 2 s: the sender's process is stopped"):
            workers.collect()
        return pids

    return stuck_passes(begin, stop_sender, end)


def test_a_stopped_sender_is_an_error_because_nobody_can_tell_what_it_sent(
    mode: str, stopped_senders: Mapping[str, Future[list[int]]]
) -> None:
    """Its counts are in its own memory; it is named, and no process is left."""
    assert [pid for pid in stopped_senders[mode].result() if not is_gone(pid)] == []


@pytest.fixture(scope="module")
def unread_passes() -> Passes:
    @contextlib.contextmanager
    def begin(mode: str) -> Iterator[Workers]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            peer = ("127.0.0.1", listener.getsockname()[1])
            with Workers(experiment(mode, 10007), address="127.0.0.1", peer=peer, patience_s=SHORT_S) as workers:
                yield workers

    return stuck_passes(begin, lambda _: None, given_up)


def test_a_foreign_peer_that_does_not_read_is_named(mode: str, unread_passes: Passes) -> None:
    """TCP says that the peer's window is closed."""
    result, stuck, _ = unread_passes[mode].result()

    assert "the peer has stopped reading" in stuck.what
    assert result.payload_bytes > (result.bytes_acked or 0) > 0


@pytest.fixture(scope="module")
def passes_over_a_link_that_went_down() -> Passes:
    @contextlib.contextmanager
    def begin(mode: str) -> Iterator[Workers]:
        with (
            network_namespace() as namespace,
            Workers(
                experiment(mode, 10007), address="127.0.0.1", sender_netns=namespace, receiver_netns=namespace,
                patience_s=SHORT_S,
            ) as workers,
        ):  # fmt: skip
            yield workers

    def take_down(workers: Workers) -> None:
        enter = ["nsenter", f"--net=/proc/{workers.sender_pid}/ns/net"]
        subprocess.run([*enter, "ip", "link", "set", "lo", "down"], check=True)

    return stuck_passes(begin, take_down, given_up)


@needs_root
def test_packets_that_go_nowhere_are_named(mode: str, passes_over_a_link_that_went_down: Passes) -> None:
    """Both processes run, and nothing is acknowledged any more: it is the way between them."""
    result, stuck, _ = passes_over_a_link_that_went_down[mode].result()

    assert "packets do not get through" in stuck.what
    assert result.payload_bytes > (result.bytes_acked or 0)


def test_a_killed_receiver_is_named(mode: str) -> None:
    """Kill -9 of the receiver in mid-run: an error that names the signal, and no process is left."""
    with Workers(experiment(mode, 10007, 3), address="127.0.0.1", patience_s=NEVER_S) as workers:
        workers.prepare(None, 600.0)
        workers.release()
        wait_until_sending(workers.port)
        pids = [workers.sender_pid, workers.receiver_pid]
        os.kill(pids[1] or 0, signal.SIGKILL)
        with pytest.raises(WorkloadError, match="the receiver died") as caught:
            workers.collect()

        assert "SIGKILL" in caught.value.why
    assert all(is_gone(pid) for pid in pids if pid)


def test_a_killed_sender_is_named(mode: str) -> None:
    """The same on the other side; the receiver merely sees an end or a reset."""
    with Workers(experiment(mode, 10007, 3), address="127.0.0.1") as workers:
        workers.prepare(None, 600.0)
        workers.release()
        wait_until_sending(workers.port)
        os.kill(workers.sender_pid, signal.SIGKILL)
        with pytest.raises(WorkloadError, match="the sender died"):
            workers.collect()


def test_a_foreign_peer_that_closes_is_an_error(mode: str) -> None:
    """A peer that is not ours and goes away in mid-run: the connection broke, and how far we got."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer = ("127.0.0.1", listener.getsockname()[1])

        def read_a_little() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(100_000)

        reader = threading.Thread(target=read_a_little)
        reader.start()
        with Workers(experiment(mode, 10007), address="127.0.0.1", peer=peer) as workers:
            assert workers.receiver_pid is None
            workers.prepare(None, 600.0)
            workers.release()
            with pytest.raises(WorkloadError, match="closed the connection"):
                workers.collect()
        reader.join()


def test_a_worker_does_not_outlive_its_parent() -> None:
    """SIGKILL of the parent: both children are gone."""
    script = (
        "import sys; from tracer.model import Experiment; from tracer.machine.processes import Workers\n"
        "with Workers(Experiment(mode='onecopy', size=10007), address='127.0.0.1') as workers:\n"
        "    workers.prepare(None, 600.0); workers.release()\n"
        "    print(workers.sender_pid, workers.receiver_pid, flush=True); workers.collect()\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        parent.kill()

    assert len(pids) == 2
    wait_for(lambda: all(is_gone(pid) for pid in pids), "a worker is left")
