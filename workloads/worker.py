"""The process that sends or receives: `python -m workloads.worker FD`, where FD is a SOCK_SEQPACKET socket.

One JSON message each way at a time. The first one says who to be; then, for every pass:

    prepare -> {"ready": true}          connections are made, threads are parked
    go                                  (sender only) the gate opens
    stop                                end now, at any time
                                     <- {"threads": [...], "latency_ns": {...}}    when all threads have ended

A failure is {"error": {...}}; the end of the control socket ends the process. Nothing heavy is imported: a worker has
to be there in some 60 ms.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import resource
import select
import signal
import socket
import struct
import sys
import threading
import time
from pathlib import Path
from typing import Any

from workloads.engine._engine import ffi, lib

CONNECT_DEADLINE_S = 10.0
ACCEPT_DEADLINE_S = 15.0
# Without a completion for so long, the missing ones never come: TCP's own retransmissions are done far earlier.
COMPLETION_DEADLINE_NS = 10_000_000_000
# A lingering close returns when the peer's kernel has acknowledged the last byte: the end of the work where the
# receiver is not ours to ask.
LINGER_S = 2
# Of one recv(); measured over loopback with a 512 KiB L2 cache, medians of 5 runs at 64 KiB messages: 14 Gb/s with
# 32 or 64 KiB, 11 with 128, 9 with 256 KiB and 1 MiB. The segments of loopback are just under 64 KiB.
RECEIVE_BUFFER_BYTES = 64 << 10
# Zero-copy keeps several messages in flight; as much as a socket buffer grows to by default (tcp_wmem: 4 MiB).
POOL_BYTES, MIN_POOL, MAX_POOL = 4 << 20, 2, 256

SENDER_COUNTS = (
    "bytes", "packed_bytes", "messages", "sends", "short_sends", "eagain", "eintr", "enobufs",
    "refused_outstanding_sends", "refused_outstanding_bytes", "refused_optmem_bytes",
    "completions", "copied", "ranges", "missing",
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
    """The engine threads of one pass."""

    def __init__(self, run: Any, jobs: list[Any]) -> None:
        self.jobs = jobs
        self.results = [0] * len(jobs)
        self._run = run
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
        with self._lock:
            self._running -= 1
            if not self._running:
                os.close(self._end)

    def stop(self, how: int) -> None:
        for job in self.jobs:
            job.stop = how

    def join(self) -> None:
        for thread in self._threads:
            thread.join()
        os.close(self.ended)


class Receiver:
    """Listens on one port for all passes."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._address = (config["address"], config["port"])
        self._family = socket.AF_INET6 if ":" in config["address"] else socket.AF_INET
        self._buffer_bytes = config.get("receive_buffer_bytes") or RECEIVE_BUFFER_BYTES
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
        return Crew(lib.engine_receive, [self._job(connection, order) for connection in self._connections])

    def _job(self, connection: socket.socket, order: dict[str, Any]) -> Any:
        job = ffi.new("struct engine_receiver *")
        job.fd = connection.fileno()
        job.use_tsc = kernel_keeps_time_by_tsc()
        job.verify = order["verify"]
        job.message_bytes = order["size"]
        job.buffer_bytes = self._buffer_bytes
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

    def __init__(self, config: dict[str, Any]) -> None:
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
        return Crew(lib.engine_send, jobs)

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
        for job, connection in zip(crew.jobs, self._connections, strict=True):
            lib.engine_sender_close(job)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, LINGER_S))
            connection.close()
        self._connections = []
        if self._gate_reader is not None:
            os.close(self._gate_reader)
        return {"threads": threads, "latency_ns": latency, "acknowledged_ns": time.monotonic_ns()}


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


def merged_latency(jobs: list[Any]) -> dict[str, int] | None:
    """Percentiles over all messages of all threads, ns; None where there was no message."""
    buckets = [sum(column) for column in zip(*(ffi.unpack(job.latency, lib.ENGINE_BUCKETS) for job in jobs), strict=True)]
    if not any(buckets):
        return None
    spans = [job.span for job in jobs]
    ticks = sum(span.end_ticks - span.start_ticks for span in spans)
    ns_per_tick = sum(span.end_ns - span.start_ns for span in spans) / ticks if ticks else 1.0
    slowest = max(job.slowest_ticks for job in jobs)
    percentiles = {f"p{percent}": percentile(buckets, percent, slowest) for percent in (50, 90, 99)}
    return {name: round(value * ns_per_tick) for name, value in {**percentiles, "max": slowest}.items()}


def percentile(buckets: list[int], percent: int, slowest: int) -> int:
    """The least value that so many percent of all do not exceed: the middle of its bucket, ticks."""
    rank = -(-sum(buckets) * percent // 100)
    seen = 0
    for index, count in enumerate(buckets):
        seen += count
        if seen >= rank and count:
            low = int(lib.engine_bucket_floor(index))
            return min(slowest, low + (int(lib.engine_bucket_floor(index + 1)) - low) // 2)
    return slowest


def enter_namespace(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if lib.setns(descriptor, lib.CLONE_NEWNET):
            raise Refused("netns", ffi.errno, path)
    finally:
        os.close(descriptor)


def drop_privileges(uid: int, gid: int) -> None:
    os.setgroups([gid])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    # A change of user clears both: perf and BPF may look at a dumpable process, and a killed parent must end us.
    lib.prctl(lib.PR_SET_DUMPABLE, ffi.cast("unsigned long", 1))


def settle(config: dict[str, Any]) -> None:
    """Become what the parent asks for, in the one order that works."""
    if config["netns"]:
        try:
            enter_namespace(config["netns"])
        except OSError as error:
            raise Refused("netns", error.errno or errno.ENOENT, config["netns"]) from error
    if config["uid"] is not None:
        drop_privileges(config["uid"], config["gid"])
    lib.prctl(lib.PR_SET_PDEATHSIG, ffi.cast("unsigned long", signal.SIGKILL))
    if os.getppid() != config["parent"]:
        os._exit(1)


class Control:
    """The parent's end of the conversation."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)

    def fileno(self) -> int:
        return self._socket.fileno()

    def tell(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._socket.send(json.dumps(message).encode())

    def hear(self) -> dict[str, Any]:
        """The next order; the parent's end is ours."""
        data = b""
        with contextlib.suppress(ConnectionResetError):
            data = self._socket.recv(1 << 20)
        if not data:
            os._exit(0)
        order: dict[str, Any] = json.loads(data)
        return order


def do_pass(side: Sender | Receiver, control: Control, order: dict[str, Any]) -> None:
    crew = side.prepare(order)
    control.tell({"ready": True})
    poll = select.poll()
    for source in (control.fileno(), crew.ended):
        poll.register(source, select.POLLIN)
    deadline = None
    while True:
        left_ms = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
        events = {descriptor for descriptor, _ in poll.poll(left_ms)}
        if crew.ended in events:
            break
        if control.fileno() in events:
            command = control.hear()["do"]
            if command == "stop":
                crew.stop(lib.ENGINE_STOP_NOW)
            side.release()
            deadline = time.monotonic() + order["duration_s"] if order.get("duration_s") else None
        elif deadline is not None and time.monotonic() >= deadline:
            crew.stop(lib.ENGINE_FINISH)
            deadline = None
    control.tell(side.finish(crew))


def serve(control: Control) -> None:
    try:
        config = control.hear()
        settle(config)
        side = Sender(config) if config["role"] == "sender" else Receiver(config)
        control.tell(side.hello())
        while True:
            order = control.hear()
            if order["do"] == "prepare":
                do_pass(side, control, order)
    except Refused as refused:
        control.tell({"error": {"during": refused.during, "code": refused.code, "detail": refused.detail}})


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serve(Control(int(sys.argv[1])))
