"""Sender and receiver over loopback: exact counts for every mode, and ends that leave nothing behind."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import workloads
from tracer.errors import MachineError, UsageError, WorkloadError
from tracer.machine import processes
from tracer.machine.processes import Workers
from tracer.model import Experiment, Workload

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="namespaces and other users need root")

NOBODY = 65534
# A deadline that is reached, and one that no test lives to see.
SHORT_S, NEVER_S = 2.0, 3600.0
SIZES = [(23, 10007), (23, 1), (23, 7), (23, 8), (3, 16 << 20), (1009, 1021)]


def experiment(mode: str, size: int, threads: int = 1, *, verify: bool = True) -> Experiment:
    return Experiment(mode=mode, size=size, threads=threads, verify=verify)


def run_pass(workers: Workers, messages: int | None, duration_s: float | None = None) -> Workload:
    workers.prepare(messages, duration_s)
    workers.release()
    return workers.collect()


def is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


@pytest.fixture(params=workloads.NAMES)
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


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
            assert result.sends == threads * messages + result.short_sends
            assert result.verified is True
            assert result.bytes_acked == result.bytes_received == result.payload_bytes
            assert result.bytes_sent == result.payload_bytes + (result.retransmitted_bytes or 0)
            assert result.sender_cpu_ns.total
            assert result.receiver_cpu_ns is not None
            assert result.receiver_cpu_ns.total
            assert result.packed_bytes == (result.payload_bytes if mode == "twocopy" else 0)
            if mode == "zerocopy":
                assert result.completions is not None
                assert result.completions.total == result.completions.copied == result.sends
            else:
                assert result.completions is None
            assert workers.port == port
        pids = [workers.sender_pid, workers.receiver_pid]
    assert all(is_gone(pid) for pid in pids if pid)


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
        result = run_pass(workers, None, 0.2)

    assert result.payload_bytes == result.received_bytes == result.messages * 10007 > 0
    assert result.completions is None or result.completions.total == result.sends


def test_stop_returns_what_was_sent_until_then(mode: str) -> None:
    """An endless pass, stopped: the partial byte counts of both sides agree."""
    with Workers(experiment(mode, 10007), address="127.0.0.1") as workers:
        workers.prepare(None, 600.0)
        workers.release()
        _wait_until_sending(workers.port)
        result = workers.stop()

    assert result is not None
    assert result.received_bytes == result.payload_bytes > 0
    assert result.verified is True


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
        _wait_until_sending(workers.port)
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
        _wait_until_blocked(workers.port)
        result = workers.stop()

        assert result is not None
        assert result.received_bytes is None
        assert 0 < result.payload_bytes < (result.messages + 5) * size
        pids = [workers.sender_pid, receiver]
    assert all(is_gone(pid) for pid in pids)


def stuck_pass(workers: Workers, stop: Callable[[], object]) -> tuple[Workload, WorkloadError]:
    """An endless pass that `stop` brings to a standstill: what is left of it, and why it was given up."""
    workers.prepare(None, 600.0)
    workers.release()
    _wait_until_sending(workers.port)
    stop()
    result = workers.collect()
    assert workers.stuck is not None
    return result, workers.stuck


def test_a_stopped_receiver_ends_the_pass_with_what_was_sent(mode: str) -> None:
    """No deadline of a mode's own: nothing moves, so the partial result stands, and the culprit is named."""
    with Workers(experiment(mode, 10007, 3), address="127.0.0.1", patience_s=SHORT_S) as workers:
        pids = [workers.sender_pid, workers.receiver_pid]
        result, stuck = stuck_pass(workers, lambda: os.kill(pids[1] or 0, signal.SIGSTOP))

        assert result.payload_bytes >= (result.bytes_acked or 0) > 0
        assert (result.received_bytes, result.verified) == (None, None)
        assert stuck.what == "nothing has moved for 2 s: the receiver's process is stopped"
        assert f"the peer's TCP acknowledged {result.bytes_acked:,} B" in stuck.why
    assert all(is_gone(pid) for pid in pids if pid)


def test_a_stopped_sender_is_an_error_because_nobody_can_tell_what_it_sent(mode: str) -> None:
    """Its counts are in its own memory; it is named, and no process is left."""
    with Workers(experiment(mode, 10007), address="127.0.0.1", patience_s=SHORT_S) as workers:
        pids = [workers.sender_pid, workers.receiver_pid]
        with pytest.raises(WorkloadError, match="nothing has moved for 2 s: the sender's process is stopped"):
            stuck_pass(workers, lambda: os.kill(workers.sender_pid, signal.SIGSTOP))
    assert all(is_gone(pid) for pid in pids if pid)


def test_a_foreign_peer_that_does_not_read_is_named(mode: str) -> None:
    """TCP says that the peer's window is closed."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer = ("127.0.0.1", listener.getsockname()[1])
        with Workers(experiment(mode, 10007), address="127.0.0.1", peer=peer, patience_s=SHORT_S) as workers:
            result, stuck = stuck_pass(workers, lambda: None)

    assert "the peer has stopped reading" in stuck.what
    assert result.payload_bytes > (result.bytes_acked or 0) > 0


@needs_root
def test_packets_that_go_nowhere_are_named(mode: str, own_namespace: str) -> None:
    """Both processes run, and nothing is acknowledged any more: it is the way between them."""
    job, namespace = experiment(mode, 10007), own_namespace
    with Workers(
        job, address="127.0.0.1", sender_netns=namespace, receiver_netns=namespace, patience_s=SHORT_S
    ) as workers:
        workers.prepare(None, 600.0)
        workers.release()
        _wait_until_sending(workers.port, workers.sender_pid)
        subprocess.run(["ip", "-n", namespace, "link", "set", "lo", "down"], check=True)
        result = workers.collect()

    assert workers.stuck is not None
    assert "packets do not get through" in workers.stuck.what
    assert result.payload_bytes > (result.bytes_acked or 0)


def test_a_killed_receiver_is_named(mode: str) -> None:
    """Kill -9 of the receiver in mid-run: an error that names the signal, and no process is left."""
    with Workers(experiment(mode, 10007, 3), address="127.0.0.1", patience_s=NEVER_S) as workers:
        workers.prepare(None, 600.0)
        workers.release()
        _wait_until_sending(workers.port)
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
        _wait_until_sending(workers.port)
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


@pytest.fixture
def own_namespace() -> Iterator[str]:
    """A network namespace with its loopback up, in which sysctls can be changed without harm."""
    name = f"nettrace-test-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        yield name
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)


def set_optmem_max(namespace: str, value: int) -> None:
    command = f"echo {value} > /proc/sys/net/core/optmem_max"
    done = subprocess.run(["ip", "netns", "exec", namespace, "sh", "-c", command], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"net.core.optmem_max is not of the namespace in this kernel: {done.stderr.strip()}")


@needs_root
def test_enobufs_by_optmem_is_counted_and_named(own_namespace: str) -> None:
    """Room for one notification: the second send is refused until the first is reaped, and every byte still arrives."""
    set_optmem_max(own_namespace, 1000)
    job = experiment("zerocopy", 100_003)
    with Workers(job, address="127.0.0.1", sender_netns=own_namespace, receiver_netns=own_namespace) as workers:
        result = run_pass(workers, 997)

    assert result.enobufs > 0
    assert result.enobufs_limit == "optmem"
    assert result.payload_bytes == result.received_bytes == 997 * 100_003
    assert result.completions is not None
    assert result.completions.total == result.sends


@needs_root
def test_an_optmem_too_low_for_one_message_is_an_error(own_namespace: str) -> None:
    """Nothing is in flight and still ENOBUFS: the error names the sysctl and a value that works."""
    set_optmem_max(own_namespace, 100)
    job = experiment("zerocopy", 10007)
    with (
        Workers(job, address="127.0.0.1", sender_netns=own_namespace, receiver_netns=own_namespace) as workers,
        pytest.raises(WorkloadError) as caught,
    ):
        run_pass(workers, 23)

    assert "net.core.optmem_max is 100" in caught.value.why
    assert "sysctl -w net.core.optmem_max=" in caught.value.fix


@pytest.fixture
def low_memlock() -> Iterator[int]:
    """RLIMIT_MEMLOCK of 256 KiB for what is started meanwhile."""
    soft, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (256 << 10, hard))
    yield 256 << 10
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (soft, hard))


@needs_root
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.usefixtures("low_memlock")
def test_enobufs_by_memlock_is_counted_and_named(threads: int) -> None:
    """An ordinary user may pin 64 pages at a time, all sockets together: refused, repeated, named, and exact.

    The receiver sleeps until the pages of what it has not taken in are that many.
    """
    job = experiment("zerocopy", 50_021, threads)
    with Workers(job, address="127.0.0.1", uid=NOBODY, gid=NOBODY, patience_s=NEVER_S) as workers:
        workers.prepare(499, None)
        receiver = workers.receiver_pid or 0
        os.kill(receiver, signal.SIGSTOP)
        workers.release()
        _wait_until_blocked(workers.port)
        os.kill(receiver, signal.SIGCONT)
        result = workers.collect()

    assert result.enobufs > 0
    assert result.enobufs_limit == "memlock"
    assert result.payload_bytes == result.received_bytes == threads * 499 * 50_021


@needs_root
def test_a_memlock_too_low_for_one_message_is_an_error(low_memlock: int) -> None:
    """A message of more pages than the limit: the error names it and what to set."""
    job = experiment("zerocopy", 1 << 20)
    with (
        Workers(job, address="127.0.0.1", uid=NOBODY, gid=NOBODY) as workers,
        pytest.raises(WorkloadError) as caught,
    ):
        run_pass(workers, 3)

    assert f"RLIMIT_MEMLOCK is {low_memlock} bytes" in caught.value.why
    assert "ulimit -l" in caught.value.fix


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
    _wait_for(lambda: all(is_gone(pid) for pid in pids))


def test_an_unknown_mode_suggests_the_near_miss() -> None:
    """The user's word is quoted."""
    with pytest.raises(UsageError, match="unknown mode 'zero-copi'") as caught:
        workloads.mode("zero-copi")

    assert "did you mean zerocopy?" in caught.value.fix


def test_every_mode_predicts_for_every_link() -> None:
    """A mode is one file: its name is the module's, its number the engine's."""
    modes = [workloads.mode(name) for name in workloads.NAMES]

    assert [mode.name for mode in modes] == list(workloads.NAMES)
    assert [mode.engine_mode for mode in modes] == [0, 1, 2]
    assert all(len(mode.predicts) == 3 for mode in modes)


def _wait_for(condition: object, deadline_s: float = 60.0) -> None:
    end = time.monotonic() + deadline_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.005)


def _queues(port: int, pid: int | str = "self") -> list[tuple[int, int]]:
    """Send and receive queues of the established sockets that talk to a port, in the network namespace of a process."""
    rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    ours = [row for row in rows if row[3] == "01" and int(row[2].partition(":")[2], 16) == port]
    return [tuple(int(part, 16) for part in row[4].split(":")) for row in ours]  # type: ignore[misc]


def _wait_until_sending(port: int, pid: int | str = "self") -> None:
    """Bytes are in flight, so the gate is open and the loop runs."""
    _wait_for(lambda: any(sent for sent, _ in _queues(port, pid)))


def _wait_until_blocked(port: int) -> None:
    """The send queue is not empty and has stopped to change."""
    seen: list[list[tuple[int, int]]] = []

    def unchanged() -> bool:
        seen.append(_queues(port))
        return len(seen) > 20 and any(sent for sent, _ in seen[-1]) and all(now == seen[-1] for now in seen[-20:])

    _wait_for(unchanged)
