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
from collections.abc import Iterator
from pathlib import Path

import pytest

import workloads
from tracer.errors import MachineError, UsageError, WorkloadError
from tracer.machine.processes import Workers
from tracer.model import Experiment, Workload

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="namespaces and other users need root")

NOBODY = 65534
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
    """Prime numbers of odd sizes, on both passes, on one port: exact bytes, messages, sends and completions."""
    with Workers(experiment(mode, size, threads), address="127.0.0.1") as workers:
        port = workers.port
        for _ in range(2):
            result = run_pass(workers, messages)

            assert result.payload_bytes == result.received_bytes == threads * messages * size
            assert result.messages == threads * messages
            assert result.sends == threads * messages + result.short_sends
            assert result.verified is True
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

    assert 0.19 < result.elapsed_s < 1.0
    assert result.payload_bytes == result.received_bytes == result.messages * 10007
    assert result.completions is None or result.completions.total == result.sends


def test_stop_returns_what_was_sent_until_then(mode: str) -> None:
    """An endless pass, stopped: the partial byte counts of both sides agree."""
    with Workers(experiment(mode, 10007), address="127.0.0.1") as workers:
        workers.prepare(None, 600.0)
        workers.release()
        _wait_until_sending(workers.port)
        began = time.monotonic()
        result = workers.stop()

    assert time.monotonic() - began < 2
    assert result is not None
    assert result.received_bytes == result.payload_bytes > 0
    assert result.verified is True


def test_an_interrupt_passes_through_collect_and_the_partial_result_is_still_to_be_had(mode: str) -> None:
    """SIGINT while collect() waits: KeyboardInterrupt in the caller, the children go on, stop() has the figures."""
    with Workers(experiment(mode, 10007, 3), address="127.0.0.1") as workers:
        workers.prepare(None, 600.0)
        workers.release()
        _wait_until_sending(workers.port)
        timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            workers.collect()
        result = workers.stop()

    assert result is not None
    assert result.received_bytes == result.payload_bytes > 0


def test_stop_before_the_gate_opens_says_that_nothing_was_measured(mode: str) -> None:
    """Parked threads end, and there is no result to show."""
    with Workers(experiment(mode, 10007), address="127.0.0.1") as workers:
        workers.prepare(23, None)

        assert workers.stop() is None


@pytest.mark.parametrize(("mode", "size"), [("twocopy", 10007), ("onecopy", 16 << 20), ("zerocopy", 100_003)])
def test_stop_is_prompt_when_the_peer_does_not_read(mode: str, size: int) -> None:
    """The receiver is stopped like a hung one: the sender still reports its exact partial count, in a few seconds."""
    with Workers(experiment(mode, size, 5, verify=False), address="127.0.0.1") as workers:
        workers.prepare(None, 600.0)
        receiver = workers.receiver_pid
        assert receiver is not None
        os.kill(receiver, signal.SIGSTOP)
        workers.release()
        _wait_until_blocked(workers.port)
        began = time.monotonic()
        result = workers.stop()

        assert time.monotonic() - began < 6
        assert result is not None
        assert result.received_bytes is None
        assert 0 < result.payload_bytes < (result.messages + 5) * size
        pids = [workers.sender_pid, receiver]
    assert all(is_gone(pid) for pid in pids)


def test_a_killed_receiver_is_named_at_once(mode: str) -> None:
    """Kill -9 of the receiver in mid-run: an error that names the signal within 5 s, and no process is left."""
    with Workers(experiment(mode, 10007, 3), address="127.0.0.1") as workers:
        workers.prepare(None, 600.0)
        workers.release()
        _wait_until_sending(workers.port)
        pids = [workers.sender_pid, workers.receiver_pid]
        began = time.monotonic()
        os.kill(pids[1] or 0, signal.SIGKILL)
        with pytest.raises(WorkloadError, match="the receiver died") as caught:
            workers.collect()

        assert "SIGKILL" in caught.value.why
    assert time.monotonic() - began < 5
    assert all(is_gone(pid) for pid in pids if pid)


def test_a_killed_sender_is_named_at_once(mode: str) -> None:
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
    assert 0 < result.elapsed_s < 1


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
    """Room for three notifications: sends are refused and repeated, the limit is named, every byte still arrives."""
    set_optmem_max(own_namespace, 2000)
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
    """An ordinary user may pin 64 pages at a time, all sockets together: refused, repeated, named, and exact."""
    job = experiment("zerocopy", 50_021, threads)
    with Workers(job, address="127.0.0.1", uid=NOBODY, gid=NOBODY) as workers:
        result = run_pass(workers, 499)

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


def _wait_for(condition: object, deadline_s: float = 5.0) -> None:
    end = time.monotonic() + deadline_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.005)


def _queues(port: int) -> list[tuple[int, int]]:
    """Send and receive queues of the established sockets that talk to a port (/proc/net/tcp)."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    ours = [row for row in rows if row[3] == "01" and int(row[2].partition(":")[2], 16) == port]
    return [tuple(int(part, 16) for part in row[4].split(":")) for row in ours]  # type: ignore[misc]


def _wait_until_sending(port: int) -> None:
    """Bytes are in flight, so the gate is open and the loop runs."""
    _wait_for(lambda: any(sent for sent, _ in _queues(port)))


def _wait_until_blocked(port: int) -> None:
    """The send queue is not empty and has stopped to change."""
    seen: list[list[tuple[int, int]]] = []

    def unchanged() -> bool:
        seen.append(_queues(port))
        return len(seen) > 20 and any(sent for sent, _ in seen[-1]) and all(now == seen[-1] for now in seen[-20:])

    _wait_for(unchanged)
