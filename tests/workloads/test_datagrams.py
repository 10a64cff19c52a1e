"""Sender and receiver over UDP: as exact as over TCP where nothing is lost, and honest where something is."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from workloads.engine._engine import ffi, lib

from tests.command import wait_for
from tests.workloads.passes import at_once, experiment, is_gone, pass_by_time, run_pass, waits_of_threads
from tracer.books import modes
from tracer.books.results import PATTERN
from tracer.errors import WorkloadError
from tracer.machine.processes import Workers
from tracer.model import Workload
from workloads.child.udp import Datagrams, answer, ask

pytestmark = pytest.mark.system

NAMES = [mode.name for mode in modes.MODES if mode.is_datagrams]
SIZES = [(23, 10007), (23, 1), (23, 7), (1009, 1021), (23, 1472), (23, 1473), (23, 32749)]


@pytest.fixture(params=NAMES)
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize(("messages", "size"), SIZES)
@pytest.mark.parametrize(("threads", "address"), [(1, "127.0.0.1"), (3, "127.0.0.1"), (1, "::1")])
def test_every_byte_arrives_as_it_was_sent(mode: str, messages: int, size: int, threads: int, address: str) -> None:
    """Prime numbers of odd sizes, on both passes, on one port: no datagram finds the receiver's buffer full."""
    with Workers(experiment(mode, size, threads), address=address) as workers:
        for _ in range(2):
            result = run_pass(workers, messages)

            assert result.payload_bytes == result.received_bytes == threads * messages * size
            assert result.sends == result.messages == threads * messages
            assert (result.verified, result.datagrams, result.retransmitted_bytes) == (True, True, 0)
            if modes.mode(mode).asks_zerocopy:
                assert result.completions is not None
                assert result.completions.total == result.asked_sends == result.sends


def test_a_duration_ends_with_whole_messages(mode: str) -> None:
    """Nothing is on its way when it is over."""
    with Workers(experiment(mode, 10007, 2), address="127.0.0.1") as workers:
        result = pass_by_time(workers)

    assert result.payload_bytes == result.received_bytes == result.messages * 10007


def has_sent(pid: int) -> bool:
    """Its threads have waited often: for the receiver, once the gate is open."""
    waits = waits_of_threads(pid)
    return bool(waits) and min(waits.values()) > 20


def test_stop_returns_what_was_sent_until_then(mode: str) -> None:
    """An endless pass, stopped: the partial byte counts of both sides agree."""
    with Workers(experiment(mode, 10007, 2), address="127.0.0.1") as workers:
        workers.prepare(None, 600.0)
        workers.release()
        wait_for(lambda: has_sent(workers.sender_pid), "nothing is sent")
        result = workers.stop()

    assert result is not None
    assert result.received_bytes == result.payload_bytes > 0
    assert result.verified is True


def test_stop_before_the_gate_opens_says_that_nothing_was_measured(mode: str) -> None:
    """And both end at once, though no datagram ever comes."""
    with Workers(experiment(mode, 10007), address="127.0.0.1") as workers:
        workers.prepare(23, None)
        pids = [workers.sender_pid, workers.receiver_pid]

        assert workers.stop() is None
    assert all(is_gone(pid) for pid in pids if pid)


Stopped = tuple[Workload, WorkloadError | None]


@pytest.fixture(scope="module")
def stopped_receivers() -> Mapping[str, Future[Stopped]]:
    def one(mode: str) -> Stopped:
        with Workers(experiment(mode, 10007), address="127.0.0.1", patience_s=2.0) as workers:
            workers.prepare(None, 600.0)
            workers.release()
            os.kill(workers.receiver_pid or 0, signal.SIGSTOP)
            return workers.collect(), workers.stuck

    return at_once(one, NAMES)


def test_a_stopped_receiver_ends_the_pass_with_what_was_sent(
    mode: str, stopped_receivers: Mapping[str, Future[Stopped]]
) -> None:
    """The sender takes the rest for lost and goes on, and the culprit is named all the same."""
    result, stuck = stopped_receivers[mode].result()

    assert stuck is not None
    assert "the receiver's process is stopped" in stuck.what
    assert result.payload_bytes > 0


def test_a_killed_receiver_is_named(mode: str) -> None:
    """Kill -9 of the receiver in mid-run."""
    with Workers(experiment(mode, 10007), address="127.0.0.1") as workers:
        workers.prepare(None, 600.0)
        workers.release()
        os.kill(workers.receiver_pid or 0, signal.SIGKILL)
        with pytest.raises(WorkloadError, match="the receiver died"):
            workers.collect()


@pytest.fixture
def pair() -> Iterator[tuple[Datagrams, Datagrams]]:
    """The sender's and the receiver's end of UDP and of TCP, over loopback; 4 messages of 1021 B are a report."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        order = {"host": "127.0.0.1", "port": port, "size": 1021, "segment": None, "zerocopy": False, "fields": 8}
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(lambda: ask(socket.create_connection(("127.0.0.1", port)), order | {"sndbuf": None}))
            answered = answer(listener.accept()[0], ("127.0.0.1", port), None)
            yield asked.result(), answered
    asked.result().close()
    answered.close()


def pattern(message: int) -> bytes:
    return bytes(lib.engine_pattern_byte(message, position) for position in range(1021))


def received(end: Datagrams) -> tuple[int, Any]:
    job = ffi.new("struct engine_receiver *")
    end.receive_by(job)
    job.verify, job.message_bytes, job.buffer_bytes = True, 1021, 1 << 16
    try:
        return int(lib.engine_receiver_open(job) or lib.engine_receive(job)), job
    finally:
        lib.engine_receiver_close(job)


def say(end: Datagrams, messages: Iterable[int], sent: int) -> None:
    """These messages, and then that so many were sent."""
    with socket.socket(fileno=os.dup(end.fileno())) as udp:
        for number in messages:
            udp.send(pattern(number))
        end.control.sendall((sent * 1021).to_bytes(8, "big"))
        udp.send(b"")


@pytest.mark.parametrize("messages", [(0, 1, 2, 3), (0, 2, 1, 3), (3, 2, 1, 0), (0, 1, 3), (1, 3), (0,)])
def test_what_is_lost_is_missed_and_what_is_overtaken_is_known(pair, messages) -> None:
    """Of 4 messages: those that came are counted and compared, in whatever order; the others are not waited for."""
    say(pair[0], messages, sent=4)
    result, job = received(pair[1])

    assert (result, job.bytes, job.reads) == (0, len(messages) * 1021, len(messages))
    assert pair[0].control.recv(8, socket.MSG_WAITALL) == (len(messages) * 1021).to_bytes(8, "big")


def test_a_wrong_byte_is_found_in_a_datagram(pair) -> None:
    """What is none of the messages that could be on their way is compared with the next one."""
    with socket.socket(fileno=os.dup(pair[0].fileno())) as udp:
        udp.send(pattern(0))
        udp.send(pattern(1)[:-1] + bytes([pattern(1)[-1] ^ 1]))
    say(pair[0], (), sent=2)
    result, job = received(pair[1])

    assert (result, job.wrong_offset, job.wrong_byte ^ job.expected_byte) == (PATTERN, 2 * 1021 - 1, 1)


def test_a_receiver_that_nobody_tells_ends_when_it_is_shut_down(pair) -> None:
    """An empty datagram alone is no end."""
    with socket.socket(fileno=os.dup(pair[0].fileno())) as udp:
        udp.send(b"")
        udp.send(pattern(0))
    with ThreadPoolExecutor(1) as pool:
        job = ffi.new("struct engine_receiver *")
        pair[1].receive_by(job)
        job.message_bytes, job.buffer_bytes = 1021, 1 << 16
        assert lib.engine_receiver_open(job) == 0
        done = pool.submit(lib.engine_receive, job)
        wait_for(lambda: job.bytes == 1021, "the message does not come")
        pair[1].shutdown(socket.SHUT_RD)

        assert (done.result(), job.bytes) == (0, 1021)
        lib.engine_receiver_close(job)
