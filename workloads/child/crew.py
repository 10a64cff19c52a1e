"""The engine's threads in one worker process."""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import socket
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from workloads.child.descriptors import close_others, own_table
from workloads.engine._engine import lib


class Refused(Exception):  # noqa: N818 - an answer to the parent, not a bug
    """Something the parent has to tell the user; code is an errno or an engine_error."""

    def __init__(self, during: str, code: int, detail: str = "") -> None:
        super().__init__(during)
        self.during, self.code, self.detail = during, code, detail


class Connection(Protocol):
    """What a crew needs of one: of a socket, or of what stands in for it."""

    def fileno(self) -> int: ...

    def shutdown(self, how: int, /) -> None: ...


class Crew:
    """The engine threads of one pass.

    Args:
        run: Does a job over its connection and gives the engine's result.
        direction: What shutdown() has to end, so that no thread waits any longer: SHUT_WR for senders, SHUT_RD.
        besides: What the threads need, too: their gate, and what the engine has opened.
    """

    def __init__(
        self, run: Any, jobs: list[Any], connections: Sequence[Connection], direction: int, *besides: int
    ) -> None:
        self.jobs = jobs
        self.results = [0] * len(jobs)
        self._run, self._connections, self._direction = run, connections, direction
        self._lock = threading.Lock()
        self._running = len(jobs)
        # Readable when the last thread has ended; the main thread polls it beside the control socket.
        self.ended = os.eventfd(0, os.EFD_CLOEXEC)
        self._kept = (self.ended, *besides, *(connection.fileno() for connection in connections))
        self._settled = threading.Barrier(len(jobs) + 1)
        self._threads = [threading.Thread(target=self._work, args=(index,), daemon=True) for index in range(len(jobs))]
        try:
            for thread in self._threads:
                thread.start()
        except RuntimeError as error:
            raise Refused("threads", why_no_thread(), str(error)) from error
        # Until then a thread may have a copy of the gate's other end, which keeps it shut.
        self._settled.wait()

    def _work(self, index: int) -> None:
        alone = own_table(self._kept)
        self._settled.wait()
        self.results[index] = self._run(self.jobs[index], self._connections[index])
        if self.results[index]:
            # One that failed must not leave the others, or the peer's thread, waiting.
            self.stop(lib.ENGINE_STOP_NOW)
            self.cut_off()
        if alone:  # a connection ends when the main thread closes it, and not when the last of its threads is gone
            close_others((self.ended,))
        with self._lock:
            self._running -= 1
            if not self._running:
                os.eventfd_write(self.ended, 1)

    def stop(self, how: int) -> None:
        """Tell senders to end; receivers end when the senders have."""
        if self._direction == socket.SHUT_WR:
            for job in self.jobs:
                job.stop = how

    def cut_off(self) -> None:
        """End all waiting for the peer."""
        for connection in self._connections:
            with contextlib.suppress(OSError):  # the peer may be gone
                connection.shutdown(self._direction)

    def join(self) -> None:
        for thread in self._threads:
            thread.join()
        os.close(self.ended)


# Of a thread, where RLIMIT_STACK is what it usually is.
STACK_BYTES = 8 << 20


def why_no_thread() -> int:
    """The error's number, which Python keeps to itself: no memory for a stack, or clone(2) has refused."""
    try:
        mmap.mmap(-1, STACK_BYTES).close()
    except OSError as error:
        return error.errno or errno.ENOMEM
    return errno.EAGAIN


def kernel_keeps_time_by_tsc() -> bool:
    """Whether the TSC runs evenly and alike on all cores; the kernel has tested that before it uses it itself."""
    try:
        source = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource").read_text()
    except OSError:
        return False
    return source.strip() == "tsc" and os.uname().machine == "x86_64"


def numbered(word: str) -> int:
    """What the engine knows a mode's, or a way's, word by (workloads/engine/engine.h)."""
    return int(getattr(lib, f"ENGINE_{word.upper()}"))


def counts_of(crew: Crew, names: tuple[str, ...]) -> list[dict[str, int]]:
    """What each thread counted."""
    times = ("start_ns", "end_ns", "cpu_ns", "user_ns", "system_ns")
    return [
        {
            "result": result,
            **{name: getattr(job.span, name) for name in times},
            **{name: getattr(job, name) for name in names},
        }
        for job, result in zip(crew.jobs, crew.results, strict=True)
    ]
