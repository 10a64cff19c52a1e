"""Sender and receiver over loopback: exact counts for every mode, whole or interrupted, and what cannot begin."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workloads.passes import NOBODY, experiment, is_gone, needs_root, pass_by_time, run_pass, wait_until_sending
from tracer.books import modes
from tracer.errors import MachineError, UsageError, WorkloadError
from tracer.machine.processes import Workers

pytestmark = pytest.mark.system

SIZES = [(23, 10007), (23, 1), (23, 7), (23, 8), (3, 16 << 20), (1009, 1021)]


@pytest.mark.parametrize(("messages", "size"), SIZES)
@pytest.mark.parametrize("threads", [1, 3])
def test_every_byte_arrives_as_it_was_sent(mode: str, messages: int, size: int, threads: int) -> None:
    """Prime numbers of odd sizes, on both passes, on one port: exact bytes, by the engine and by TCP."""
    with Workers(experiment(mode, size, threads), address="127.0.0.1") as workers:
        port = workers.port
        for _ in range(2):
            result = run_pass(workers, messages)

            assert result.payload_bytes == result.received_bytes == threads * messages * size
            assert result.messages == threads * messages
            headers = threads * messages if mode == "zerocopy-more" and size >= 8 else 0
            assert result.sends == headers + threads * messages + result.short_sends
            assert result.verified is True
            assert result.bytes_acked == result.bytes_received == result.payload_bytes
            assert result.bytes_sent == result.payload_bytes + (result.retransmitted_bytes or 0)
            assert result.acks is not None
            assert result.sender_cpu_ns.total
            assert result.receiver_cpu_ns is not None
            assert result.receiver_cpu_ns.total
            assert result.packed_bytes == (result.payload_bytes if modes.mode(mode).packs else 0)
            if modes.mode(mode).asks_zerocopy:
                assert result.completions is not None
                assert result.completions.total == result.completions.copied == result.asked_sends
                assert result.asked_bytes == result.payload_bytes - threads * messages * (size // 8 if headers else 0)
            else:
                assert result.completions is None
            assert workers.port == port
        pids = [workers.sender_pid, workers.receiver_pid]
    assert all(is_gone(pid) for pid in pids if pid)


def kept_by(pid: int) -> tuple[int, int]:
    """Descriptors of a process, and its mappings of rings."""
    maps = Path(f"/proc/{pid}/maps").read_text()
    return len(list(Path(f"/proc/{pid}/fd").iterdir())), sum("io_uring" in line for line in maps.splitlines())


def test_a_pass_leaves_nothing_behind(mode: str) -> None:
    """Pipes, files, rings and what is registered with them are gone with the connections that they were for."""
    with Workers(experiment(mode, 10007, 3), address="127.0.0.1") as workers:
        run_pass(workers, 23)
        after_one = kept_by(workers.sender_pid)
        for _ in range(3):
            run_pass(workers, 23)

        assert kept_by(workers.sender_pid) == after_one
        assert after_one[1] == 0


def test_percentiles_are_in_order_and_within_the_run(mode: str) -> None:
    """p50 <= p90 <= p99 <= max, and no message takes longer than the whole run."""
    with Workers(experiment(mode, 4099), address="127.0.0.1") as workers:
        result = run_pass(workers, 211)

    latency = result.latency_ns
    assert latency is not None
    assert 0 < latency.p50 <= latency.p90 <= latency.p99 <= latency.max
    assert latency.p50 * 211 / 2 <= result.elapsed_s * 1e9 + latency.max


def test_a_duration_ends_with_whole_messages(mode: str) -> None:
    """A pass by time finishes the message that it is in, and waits for every completion."""
    with Workers(experiment(mode, 10007), address="127.0.0.1") as workers:
        result = pass_by_time(workers)

    assert result.payload_bytes == result.received_bytes == result.messages * 10007
    assert result.completions is None or result.completions.total == result.asked_sends


def test_stop_returns_what_was_sent_until_then(mode: str) -> None:
    """An endless pass, stopped: the partial byte counts of both sides agree."""
    with Workers(experiment(mode, 10007), address="127.0.0.1") as workers:
        workers.prepare(None, 600.0)
        workers.release()
        wait_until_sending(workers.port)
        result = workers.stop()

    assert result is not None
    assert result.received_bytes == result.payload_bytes > 0
    assert result.verified is True
    assert result.stopped is True


@pytest.fixture
def wake() -> Iterator[tuple[int, int]]:
    """A pipe: what is written into it interrupts."""
    reader, writer = os.pipe()
    yield reader, writer
    os.close(reader)
    os.close(writer)


def test_an_interrupt_ends_collect_and_the_partial_result_is_still_to_be_had(mode: str, wake: tuple[int, int]) -> None:
    """A readable wake-up descriptor: KeyboardInterrupt in the caller, the children go on, stop() has the figures."""
    with Workers(experiment(mode, 10007, 3), address="127.0.0.1", wake=wake[0]) as workers:
        workers.prepare(None, 600.0)
        workers.release()
        wait_until_sending(workers.port)
        os.write(wake[1], b"!")
        with pytest.raises(KeyboardInterrupt):
            workers.collect()
        result = workers.stop()

    assert result is not None
    assert result.received_bytes == result.payload_bytes > 0
    assert os.read(wake[0], 2) == b"!"


def test_an_interrupt_ends_prepare(wake: tuple[int, int]) -> None:
    """It is looked at wherever a reply is waited for, and nothing was measured."""
    with Workers(experiment("onecopy", 10007), address="127.0.0.1", wake=wake[0]) as workers:
        os.write(wake[1], b"!")
        with pytest.raises(KeyboardInterrupt):
            workers.prepare(23, None)

        assert workers.stop() is None


def test_stop_before_the_gate_opens_says_that_nothing_was_measured(mode: str) -> None:
    """Parked threads end, and there is no result to show."""
    with Workers(experiment(mode, 10007), address="127.0.0.1") as workers:
        workers.prepare(23, None)

        assert workers.stop() is None


def test_a_foreign_peer_s_bytes_are_not_claimed(mode: str) -> None:
    """What a receiver that is not ours has read, and its CPU time, nobody observed."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer = ("127.0.0.1", listener.getsockname()[1])

        def read_all() -> None:
            connection, _ = listener.accept()
            with connection:
                while connection.recv(1 << 16):
                    pass

        reader = threading.Thread(target=read_all)
        reader.start()
        with Workers(experiment(mode, 10007), address="127.0.0.1", peer=peer) as workers:
            result = run_pass(workers, 23)
        reader.join()

    assert (result.payload_bytes, result.messages) == (23 * 10007, 23)
    assert (result.received_bytes, result.receiver_cpu_ns, result.verified) == (None, None, None)
    assert result.elapsed_s > 0


def test_a_taken_port_is_a_usage_error() -> None:
    """It names the port, and how to see who has it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with (
            Workers(experiment("onecopy", 1), address="127.0.0.1", port=port) as workers,
            pytest.raises(UsageError, match=f"port {port} .* is taken") as caught,
        ):
            workers.prepare(1, None)

    assert f"ss -ltnp 'sport = :{port}'" in caught.value.fix


def test_an_address_that_is_not_ours_is_an_error() -> None:
    """198.51.100.0/24 is for documentation (RFC 5737): no interface of this machine has it."""
    with (
        Workers(experiment("onecopy", 1), address="198.51.100.7") as workers,
        pytest.raises(MachineError, match=r"198\.51\.100\.7"),
    ):
        workers.prepare(1, None)


def test_nobody_listening_at_the_peer_is_an_error() -> None:
    """The refused connection names host and port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with (
        Workers(experiment("onecopy", 1), address="127.0.0.1", peer=("127.0.0.1", port)) as workers,
        pytest.raises(WorkloadError, match=f"cannot connect to 127.0.0.1 port {port}"),
    ):
        workers.prepare(1, None)


@needs_root
def test_an_unknown_namespace_is_an_error() -> None:
    """It quotes the namespace."""
    with (
        Workers(experiment("onecopy", 1), address="127.0.0.1", sender_netns="nosuch") as workers,
        pytest.raises(MachineError, match="no network namespace /run/netns/nosuch"),
    ):
        workers.prepare(1, None)


@needs_root
def test_workers_drop_to_the_given_user(mode: str) -> None:
    """All ids, real, effective, saved and the groups; and the payload still arrives."""
    with Workers(experiment(mode, 10007), address="127.0.0.1", uid=NOBODY, gid=NOBODY) as workers:
        result = run_pass(workers, 23)
        status = Path(f"/proc/{workers.sender_pid}/status").read_text()

    assert result.received_bytes == 23 * 10007
    assert f"Uid:\t{NOBODY}\t{NOBODY}\t{NOBODY}\t{NOBODY}" in status
    assert f"Groups:\t{NOBODY}" in status
    assert "CapEff:\t0000000000000000" in status
