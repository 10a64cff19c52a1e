"""The engine's threads in one worker process, and their connections: a sender's or a receiver's."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

from workloads.engine._engine import ffi, lib
from workloads.latency import merged_latency

CONNECT_DEADLINE_S = 10.0
ACCEPT_DEADLINE_S = 15.0
# How long the peers may take to close after the last byte; ours takes a millisecond, unless it hangs.
CLOSE_DEADLINE_S, CLOSE_DEADLINE_WHEN_STOPPED_S = 2.0, 0.2
# Offset and end of tcpi_bytes_sent and tcpi_bytes_retrans in struct tcp_info: user ABI, which never moves.
BYTES_SENT, BYTES_RETRANS = slice(200, 208), slice(208, 216)
# Without any completion for so long, something holds packets back for good, or the peer does not read.
COMPLETION_DEADLINE_NS = 10_000_000_000
# Of one recv(); measured over loopback with a 512 KiB L2 cache, medians of 5 runs at 64 KiB messages: 14 Gb/s with
# 32 or 64 KiB, 11 with 128, 9 with 256 KiB and 1 MiB. The segments of loopback are just under 64 KiB.
RECEIVE_BUFFER_BYTES = 64 << 10
# Zero-copy keeps several messages in flight. Few bytes, because the copy that loopback makes after all reads them from
# the cache (16 KiB messages: 4.8 Gb/s with 2 of them, 3.2 with 64); many messages where they are small, because each
# wait for completions costs a switch to the receiver (1 KiB: 0.26 Gb/s with 2, 0.37 with 128 and more).
POOL_BYTES, MIN_POOL, MAX_POOL = 512 << 10, 2, 256

SENDER_COUNTS = (
    "bytes", "packed_bytes", "messages", "sends", "short_sends", "eintr", "enobufs",
    "refused_optmem_bytes", "completions", "copied", "ranges", "missing",
)  # fmt: skip
RECEIVER_COUNTS = (
    "bytes", "reads", "first_byte_ns", "last_byte_ns", "wrong_offset", "wrong_byte", "expected_byte",
)  # fmt: skip


class Refused(Exception):  # noqa: N818 - an answer to the parent, not a bug
    """Something the parent has to tell the user; code is an errno or an engine_error."""

    def __init__(self, during: str, code: int, detail: str = "") -> None:
        super().__init__(during)
        self.during, self.code, self.detail = during, code, detail


class Crew:
    """The engine threads of one pass.

    Args:
        run: The engine's function that does a job.
        direction: What shutdown() has to end, so that no thread waits any longer: SHUT_WR for senders, SHUT_RD.
    """

    def __init__(self, run: Any, jobs: list[Any], connections: list[socket.socket], direction: int) -> None:
        self.jobs = jobs
        self.stopped_early = False
        self.results = [0] * len(jobs)
        self._run, self._connections, self._direction = run, connections, direction
        self._lock = threading.Lock()
        self._running = len(jobs)
        # Readable when the last thread has ended; the main thread polls it beside the control socket.
        self.ended, self._end = os.pipe()
        self._threads = [threading.Thread(target=self._work, args=(index,), daemon=True) for index in range(len(jobs))]
        for thread in self._threads:
            thread.start()

    def _work(self, index: int) -> None:
        self.results[index] = self._run(self.jobs[index])
        if self.results[index]:
            # One that failed must not leave the others, or the peer's thread, waiting.
            self.stop(lib.ENGINE_STOP_NOW)
            self.cut_off()
        with self._lock:
            self._running -= 1
            if not self._running:
                os.close(self._end)

    def stop(self, how: int) -> None:
        """Tell senders to end; receivers end when the senders have."""
        self.stopped_early = how == lib.ENGINE_STOP_NOW
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


class Receiver:
    """Listens on one port for all passes."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._address = (config["address"], config["port"])
        self._family = socket.AF_INET6 if ":" in config["address"] else socket.AF_INET
        self._connections: list[socket.socket] = []
        try:
            self._listener = socket.create_server(self._address, family=self._family, backlog=128)
        except OSError as error:
            raise Refused("listen", error.errno or errno.EIO, str(error)) from error

    def hello(self) -> dict[str, Any]:
        return {"port": self._listener.getsockname()[1]}

    def prepare(self, order: dict[str, Any]) -> Crew:
        deadline = time.monotonic() + ACCEPT_DEADLINE_S
        while len(self._connections) < order["threads"]:
            self._listener.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                raise Refused("accept", errno.ETIMEDOUT, f"{len(self._connections)} connections came") from None
            connection.settimeout(None)
            self._connections.append(connection)
        jobs = [self._job(connection, order) for connection in self._connections]
        return Crew(lib.engine_receive, jobs, self._connections, socket.SHUT_RD)

    def _job(self, connection: socket.socket, order: dict[str, Any]) -> Any:
        job = ffi.new("struct engine_receiver *")
        job.fd = connection.fileno()
        job.use_tsc = kernel_keeps_time_by_tsc()
        job.verify = order["verify"]
        job.message_bytes = order["size"]
        job.buffer_bytes = RECEIVE_BUFFER_BYTES
        return job

    def release(self) -> None:
        """The receiver's gate is recv()."""

    def finish(self, crew: Crew) -> dict[str, Any]:
        crew.join()
        for connection in self._connections:
            connection.close()
        self._connections = []
        return {"threads": [counts_of(crew, index, RECEIVER_COUNTS) for index in range(len(crew.jobs))]}


class Sender:
    """Makes new connections for every pass."""

    def __init__(self) -> None:
        self._connections: list[socket.socket] = []
        self._gate: int | None = None
        self._gate_reader: int | None = None

    def hello(self) -> dict[str, Any]:
        """The limits that can refuse a zero-copy send with ENOBUFS."""
        soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
        status = Path("/proc/self/status").read_text()
        effective = int(status.partition("CapEff:")[2].split()[0], 16)
        ipc_lock = bool(effective >> 14 & 1)  # CAP_IPC_LOCK, linux/capability.h: mm_account_pinned_pages() asks it
        try:
            optmem = int(Path("/proc/sys/net/core/optmem_max").read_text())
        except OSError:
            optmem = None
        memlock = None if soft == resource.RLIM_INFINITY or ipc_lock else soft
        return {"optmem_max": optmem, "memlock": memlock}

    def prepare(self, order: dict[str, Any]) -> Crew:
        self._gate_reader, self._gate = os.pipe()
        for _ in range(order["threads"]):
            try:
                connection = socket.create_connection((order["host"], order["port"]), timeout=CONNECT_DEADLINE_S)
            except OSError as error:
                raise Refused("connect", error.errno or errno.ETIMEDOUT, str(error)) from error
            connection.settimeout(None)
            self._connections.append(connection)
        jobs = [self._job(connection, order) for connection in self._connections]
        for job in jobs:
            if result := lib.engine_sender_open(job):
                raise Refused("prepare", result, "allocating the messages")
        return Crew(lib.engine_send, jobs, self._connections, socket.SHUT_WR)

    def _job(self, connection: socket.socket, order: dict[str, Any]) -> Any:
        job = ffi.new("struct engine_sender *")
        job.fd = connection.fileno()
        job.gate_fd = self._gate_reader
        job.mode = order["mode"]
        job.use_tsc = kernel_keeps_time_by_tsc()
        job.verify = order["verify"]
        job.message_bytes = order["size"]
        job.messages_wanted = order["messages"] or 0
        job.pool_messages = pool_messages(order["size"]) if order["mode"] == lib.ENGINE_ZERO_COPY else 1
        job.completion_deadline_ns = COMPLETION_DEADLINE_NS
        return job

    def release(self) -> None:
        if self._gate is not None:
            os.close(self._gate)
            self._gate = None

    def finish(self, crew: Crew) -> dict[str, Any]:
        crew.join()
        threads = [counts_of(crew, index, SENDER_COUNTS) for index in range(len(crew.jobs))]
        latency = merged_latency(crew.jobs)
        sent, retransmitted, closed_ns = [], [], []
        wait_s = CLOSE_DEADLINE_WHEN_STOPPED_S if crew.stopped_early else CLOSE_DEADLINE_S
        deadline = time.monotonic() + wait_s
        for job, connection in zip(crew.jobs, self._connections, strict=True):
            closed_ns.append(wait_until_closed(connection, deadline) or job.span.end_ns)
            sent.append(told_by_tcp(connection, BYTES_SENT))
            retransmitted.append(told_by_tcp(connection, BYTES_RETRANS))
            lib.engine_sender_close(job)
            connection.close()
        self._connections = []
        if self._gate_reader is not None:
            os.close(self._gate_reader)
        return {
            "threads": threads,
            "latency_ns": latency,
            "closed_ns": max(closed_ns),
            "sent_bytes": sent,
            "retransmitted_bytes": retransmitted,
        }


def wait_until_closed(connection: socket.socket, deadline: float) -> int | None:
    """When the peer closed: it does so after our last byte, so nothing will be sent again from then on.

    CLOCK_MONOTONIC, ns; None where it had not by the deadline, or broke off.
    """
    connection.settimeout(max(0.001, deadline - time.monotonic()))
    try:
        while connection.recv(1 << 16):
            pass
    except OSError:
        return None
    return time.monotonic_ns()


def told_by_tcp(connection: socket.socket, field: slice) -> int | None:
    """One of TCP's own counters, a field of struct tcp_info (linux/tcp.h); None where it is not told."""
    info = b""
    with contextlib.suppress(OSError):
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    return int.from_bytes(info[field], sys.byteorder) if len(info) >= field.stop else None


def pool_messages(size: int) -> int:
    """Messages in a zero-copy sender's pool."""
    return max(MIN_POOL, min(MAX_POOL, POOL_BYTES // size))


def kernel_keeps_time_by_tsc() -> bool:
    """Whether the TSC runs evenly and alike on all cores; the kernel has tested that before it uses it itself."""
    try:
        source = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource").read_text()
    except OSError:
        return False
    return source.strip() == "tsc" and os.uname().machine == "x86_64"


def counts_of(crew: Crew, index: int, names: tuple[str, ...]) -> dict[str, int]:
    job = crew.jobs[index]
    span = {name: getattr(job.span, name) for name in ("start_ns", "end_ns", "user_ns", "system_ns")}
    return {"result": crew.results[index], **span, **{name: getattr(job, name) for name in names}}
