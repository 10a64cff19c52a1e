"""The limits that refuse a zero-copy send, or what a mode needs: counted and named, and every byte still arrives."""

from __future__ import annotations

import contextlib
import itertools
import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.command import wait_for
from tests.workloads.passes import NOBODY, experiment, needs_root, run_pass, wait_until_refused, waits_of
from tracer.errors import MachineError, WorkloadError
from tracer.machine.processes import Workers

pytestmark = pytest.mark.system

NEVER_S = 3600.0
# A thread that is refused alone looks again after a millisecond or more, and gives up after two seconds.
TOO_OFTEN_FOR_ONE = 2500


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
@pytest.mark.parametrize("mode", ["zerocopy", "udp-zerocopy", "zerocopy-more"])
def test_an_optmem_too_low_for_one_message_is_told_before_anything_is_sent(own_namespace: str, mode: str) -> None:
    """The error names the sysctl and a value that works; io_uring needs no room there."""
    set_optmem_max(own_namespace, 575)
    with (
        Workers(
            experiment(mode, 10007), address="127.0.0.1", sender_netns=own_namespace, receiver_netns=own_namespace
        ) as workers,
        pytest.raises(WorkloadError) as caught,
    ):
        workers.prepare(23, None)

    assert "net.core.optmem_max is 575" in caught.value.why
    assert "sysctl -w net.core.optmem_max=" in caught.value.fix


@needs_root
@pytest.mark.parametrize(("mode", "room"), [("zerocopy", 576), ("uring-zerocopy", 0)])
def test_an_optmem_for_one_notification_is_enough(own_namespace: str, mode: str, room: int) -> None:
    """What was asked before is not asked too much; io_uring needs no room there."""
    set_optmem_max(own_namespace, room)
    job = experiment(mode, 10007)
    with Workers(job, address="127.0.0.1", sender_netns=own_namespace, receiver_netns=own_namespace) as workers:
        result = run_pass(workers, 23)

    assert result.payload_bytes == result.received_bytes == 23 * 10007


@needs_root
def test_an_optmem_that_is_lowered_meanwhile_is_an_error(own_namespace: str) -> None:
    """Nothing is in flight and still ENOBUFS: after two seconds the sender gives up."""
    job = experiment("zerocopy", 10007)
    with Workers(job, address="127.0.0.1", sender_netns=own_namespace, receiver_netns=own_namespace) as workers:
        workers.prepare(23, None)
        set_optmem_max(own_namespace, 575)
        workers.release()
        with pytest.raises(WorkloadError, match="with nothing of its own in flight") as caught:
            workers.collect()

    assert "sysctl -w net.core.optmem_max=" in caught.value.fix


@pytest.fixture
def low_memlock() -> Iterator[int]:
    """RLIMIT_MEMLOCK of 256 KiB for what is started meanwhile."""
    with memlock(256 << 10) as limit:
        yield limit


@contextlib.contextmanager
def memlock(limit: int) -> Iterator[int]:
    soft, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (limit, hard))
    yield limit
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (soft, hard))


# Pinned pages are a user's: the numbers of one process's tests are no other's, which may run beside it.
_USERS = itertools.count(1_000_000 + os.getpid() * 64)


@pytest.fixture
def user() -> int:
    """Who has nothing pinned: what an earlier test's user had is given back when the kernel gets to it."""
    return next(_USERS)


@needs_root
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("mode", ["zerocopy", "uring-zerocopy"])
@pytest.mark.usefixtures("low_memlock")
def test_a_refusal_by_memlock_is_counted_and_named(mode: str, threads: int, user: int) -> None:
    """An ordinary user may pin 64 pages at a time, all sockets together: refused, repeated, named, and exact.

    ENOBUFS of a send, ENOMEM of io_uring. The receiver sleeps until the pages of what it has not taken in are that
    many.
    """
    job = experiment(mode, 50_021, threads)
    with Workers(job, address="127.0.0.1", uid=user, gid=NOBODY, patience_s=NEVER_S) as workers:
        workers.prepare(499, None)
        receiver = workers.receiver_pid or 0
        os.kill(receiver, signal.SIGSTOP)
        workers.release()
        wait_until_refused(workers)
        os.kill(receiver, signal.SIGCONT)
        result = workers.collect()

    assert (result.enobufs > 0, result.enomem > 0) == (mode == "zerocopy", mode != "zerocopy")
    assert result.enobufs_limit == ("memlock" if mode == "zerocopy" else None)
    assert result.payload_bytes == result.received_bytes == threads * 499 * 50_021


@needs_root
@pytest.mark.parametrize("mode", ["zerocopy", "uring-zerocopy"])
@pytest.mark.usefixtures("low_memlock")
def test_who_is_refused_for_what_another_thread_has_pinned_waits_for_it(mode: str, user: int) -> None:
    """Of two messages of 38 pages one has room: the other's thread has nothing of its own in flight, for seconds."""
    with Workers(
        experiment(mode, 150_001, 2), address="127.0.0.1", uid=user, gid=NOBODY, patience_s=NEVER_S
    ) as workers:
        workers.prepare(23, None)
        receiver = workers.receiver_pid or 0
        os.kill(receiver, signal.SIGSTOP)
        workers.release()
        wait_until_refused(workers, times=TOO_OFTEN_FOR_ONE)
        os.kill(receiver, signal.SIGCONT)
        result = workers.collect()

    assert max(result.enobufs, result.enomem) > TOO_OFTEN_FOR_ONE
    assert result.payload_bytes == result.received_bytes == 2 * 23 * 150_001


@needs_root
def test_registered_buffers_wait_for_the_pages_that_others_give_back(user: int) -> None:
    """As those of the pass before, which the kernel gives back some time after their ring is closed."""
    job = experiment("uring-zerocopy-fixed", 16384)  # the messages of its pool have 512 KiB
    with (
        memlock(700 << 10),
        Workers(job, address="127.0.0.1", uid=user, gid=NOBODY) as before,
        Workers(job, address="127.0.0.1", uid=user, gid=NOBODY) as workers,
        ThreadPoolExecutor(1) as pool,
    ):
        before.prepare(3, None)
        assert workers.port
        prepared = pool.submit(workers.prepare, 23, None)
        wait_for(lambda: waits_of(workers.sender_pid, workers.sender_pid) > 100, "nobody waits for pages")
        before.stop()
        prepared.result()
        workers.release()

        assert workers.collect().received_bytes == 23 * 16384


@needs_root
@pytest.mark.parametrize("mode", ["zerocopy", "uring-zerocopy"])
def test_a_memlock_too_low_for_one_message_is_an_error(mode: str, low_memlock: int, user: int) -> None:
    """A message of more pages than the limit: the error names it and what to set."""
    job = experiment(mode, 1 << 20)
    with (
        Workers(job, address="127.0.0.1", uid=user, gid=NOBODY) as workers,
        pytest.raises(WorkloadError) as caught,
    ):
        run_pass(workers, 3)

    assert f"RLIMIT_MEMLOCK is {low_memlock} bytes" in caught.value.why
    assert "ulimit -l" in caught.value.fix


@needs_root
@pytest.mark.usefixtures("low_memlock")
def test_a_memlock_too_low_for_registered_buffers_is_an_error(user: int) -> None:
    """Nothing is sent: the buffers are pinned before, or not at all."""
    job = experiment("uring-zerocopy-fixed", 1 << 20)
    with (
        Workers(job, address="127.0.0.1", uid=user, gid=NOBODY) as workers,
        pytest.raises(MachineError, match="registered buffers") as caught,
    ):
        workers.prepare(3, None)

    assert "ENOMEM" in caught.value.why
    assert "ulimit -l" in caught.value.fix
