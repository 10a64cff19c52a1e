"""Passes of the two workers, and waiting for where one of them stands."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pytest

from tests.command import IN_THE_CLEAR, tcp_rows, wait_for
from tracer.books import modes
from tracer.machine.processes import Workers
from tracer.model import Experiment, Workload

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="namespaces and other users need root")
NOBODY = 65534

T = TypeVar("T")
STREAMS = [name for name in IN_THE_CLEAR if not modes.mode(name).is_datagrams]
_NUMBERS = itertools.count()


def experiment(mode: str, size: int, threads: int = 1, *, verify: bool = True) -> Experiment:
    return Experiment(mode=mode, size=size, threads=threads, verify=verify)


def run_pass(workers: Workers, messages: int | None, duration_s: float | None = None) -> Workload:
    workers.prepare(messages, duration_s)
    workers.release()
    return workers.collect()


def pass_by_time(workers: Workers) -> Workload:
    """A short one in which something was sent: a sender that had no processor meanwhile is given twice the time."""
    durations = (0.1 * 2**times for times in itertools.count())
    return next(found for one in durations if (found := run_pass(workers, None, one)).messages)


def is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def queues(port: int, pid: int | str = "self") -> list[tuple[int, int]]:
    """Send and receive queues of the established sockets that talk to a port, in the network namespace of a process."""
    ours = [row for row in tcp_rows(pid) if row[3] == "01" and int(row[2].partition(":")[2], 16) == port]
    return [tuple(int(part, 16) for part in row[4].split(":")) for row in ours]  # type: ignore[misc]


def wait_until_sending(port: int, pid: int | str = "self") -> None:
    """Bytes are in flight, so the gate is open and the loop runs."""
    wait_for(lambda: any(sent for sent, _ in queues(port, pid)), "nothing is in flight")


def wait_until_blocked(port: int) -> None:
    """The send queue is not empty and has stopped to change."""
    seen: list[list[tuple[int, int]]] = []

    def unchanged() -> bool:
        seen.append(queues(port))
        return len(seen) > 20 and any(sent for sent, _ in seen[-1]) and all(now == seen[-1] for now in seen[-20:])

    wait_for(unchanged, "the send queue goes on changing")


def waits_of(pid: int, thread: int) -> int:
    """How often a thread of this process has gone to sleep until now."""
    status = Path(f"/proc/{pid}/task/{thread}/status").read_text()
    return int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])


def waits_of_threads(pid: int) -> dict[int, int]:
    """The same of each of a worker's threads, which send or receive; its first one does not."""
    threads = [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir() if task.name != str(pid)]
    return {thread: waits_of(pid, thread) for thread in threads}


def wait_until_refused(workers: Workers, times: int = 3) -> None:
    """A sender's thread wakes so often, and no queue changes: its sends are refused, whose receiver is stopped.

    One that has no room in its queue sleeps once, until there is some.
    """
    port, pid = workers.port, workers.sender_pid
    before = queues(port), waits_of_threads(pid)

    def is_refused() -> bool:
        nonlocal before
        now = queues(port), waits_of_threads(pid)
        if not now[1]:
            os.kill(workers.receiver_pid or 0, signal.SIGCONT)
            raise AssertionError(f"the sender has ended: {workers.collect()}")  # or its error
        if now[0] != before[0] or not any(sent for sent, _ in now[0]):
            before = now
        return any(waits > before[1][thread] + times for thread, waits in now[1].items())

    wait_for(is_refused, "no send is refused")


def at_once(act: Callable[[str], T], names: Sequence[str] = STREAMS) -> dict[str, Future[T]]:
    """The same with every mode side by side: where all wait for a deadline, it is waited out together."""
    with ThreadPoolExecutor(len(names)) as pool:
        return {mode: pool.submit(act, mode) for mode in names}


@contextlib.contextmanager
def network_namespace() -> Iterator[str]:
    """One with its loopback up, in which sysctls can be changed without harm."""
    name = f"nettrace-test-{os.getpid()}-{next(_NUMBERS)}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        yield name
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)
