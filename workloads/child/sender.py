"""The sending side: it connects, and the engine sends once the gate opens."""

from __future__ import annotations

import errno
import os
import resource
import socket
import time
from pathlib import Path
from typing import Any

from workloads.child.crew import Crew, Refused, counts_of, kernel_keeps_time_by_tsc, numbered
from workloads.child.latency import merged_latency
from workloads.child.tcp import Info, acks_of, is_window_closed, set_buffer, sum_known, tcp_info
from workloads.child.tls import encrypt
from workloads.child.udp import Datagrams, ask
from workloads.engine._engine import ffi, lib

CONNECT_DEADLINE_S = 10.0
# How long a peer may take to close once it has acknowledged everything; ours takes a millisecond, unless it hangs.
CLOSE_DEADLINE_S, CLOSE_TICK_S = 2.0, 0.2
# Zero-copy keeps several messages in flight. Few bytes, because the copy that loopback makes after all reads them from
# the cache (16 KiB messages: 4.8 Gb/s with 2 of them, 3.2 with 64); many messages where they are small, because each
# wait for completions costs a switch to the receiver (1 KiB: 0.26 Gb/s with 2, 0.37 with 128 and more).
POOL_BYTES, MIN_POOL, MAX_POOL, MAX_BATCH = 512 << 10, 2, 256, 16

# asm-generic/socket.h, linux/socket.h
SO_ZEROCOPY, MSG_ZEROCOPY = 60, 0x4000000

SENDER_COUNTS = (
    "bytes", "packed_bytes", "messages", "sends", "short_sends", "eintr", "enobufs", "enomem",
    "refused_optmem_bytes", "asked_sends", "asked_bytes", "completions", "copied", "ranges",
)  # fmt: skip


class Sender:
    """Makes new connections for every pass.

    Attributes:
        stop_grace_s: A peer that reads takes the rest of a message in this time; one that does not is not waited for.
    """

    stop_grace_s = 0.1

    def __init__(self) -> None:
        self._connections: list[socket.socket | Datagrams] = []
        self._gate: int | None = None
        self._gate_reader: int | None = None

    def hello(self) -> dict[str, Any]:
        """The limits that can refuse a zero-copy send with ENOBUFS, and whether they do so at once."""
        soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
        status = Path("/proc/self/status").read_text()
        effective = int(status.partition("CapEff:")[2].split()[0], 16)
        ipc_lock = bool(effective >> 14 & 1)  # CAP_IPC_LOCK, linux/capability.h: mm_account_pinned_pages() asks it
        try:
            optmem = int(Path("/proc/sys/net/core/optmem_max").read_text())
        except OSError:
            optmem = None
        memlock = None if soft == resource.RLIM_INFINITY or ipc_lock else soft
        return {"optmem_max": optmem, "memlock": memlock, "may_send_zerocopy": may_send_zerocopy()}

    def prepare(self, order: dict[str, Any]) -> Crew:
        self._gate_reader, self._gate = os.pipe()
        for _ in range(order["threads"]):
            connection = connect(order)
            if order["protocol"] == "tls":
                encrypt(connection, "send")
            self._connections.append(ask(connection, order) if order["protocol"] == "udp" else connection)
        jobs = [self._job(connection, order) for connection in self._connections]
        for job, beside in zip(jobs, jobs[1:] + jobs[:1], strict=True):
            job.beside = beside
        for job in jobs:
            if result := lib.engine_sender_open(job):
                raise Refused(ffi.string(job.step).decode(), result)
        own = [descriptor for job in jobs for descriptor in descriptors_of(job)]
        own += [one.control.fileno() for one in self._connections if isinstance(one, Datagrams)]
        self._closed_ns: list[int] = []
        return Crew(self._send, jobs, self._connections, socket.SHUT_WR, self._gate_reader, *own)

    def _send(self, job: Any, connection: socket.socket | Datagrams) -> int:
        result = int(lib.engine_send(job))
        closed_ns = None if result else closed(connection, job)
        self._closed_ns.append(closed_ns or job.span.end_ns)
        return result

    def _job(self, connection: socket.socket | Datagrams, order: dict[str, Any]) -> Any:
        job = ffi.new("struct engine_sender *")
        job.fd = connection.fileno()
        if isinstance(connection, Datagrams):
            job.control_fd, job.window_bytes = connection.control.fileno(), connection.pace_bytes
        job.gate_fd = self._gate_reader
        job.call = numbered(order["call"])
        job.buffers = numbered(order["buffers"])
        job.zerocopy = order["zerocopy"]
        job.header = order["header"]
        job.nodelay = order["nodelay"] or order["protocol"] == "udp"
        job.fields = order["fields"]
        job.use_tsc = kernel_keeps_time_by_tsc()
        job.verify = order["verify"]
        job.message_bytes = order["size"]
        job.messages_wanted = order["messages"] or 0
        job.pool_messages = pool_messages(order)
        return job

    def release(self) -> None:
        if self._gate is not None:
            os.close(self._gate)
            self._gate = None

    def progress(self, crew: Crew) -> Info:
        """What has been sent, acknowledged and notified until now, and what waits where."""
        told = [tcp_info(connection) for connection in self._connections]
        tcp = ("bytes_acked", "unacked", "notsent_bytes")
        closed = [info for info in told if is_window_closed(info)]
        narrowest = min(closed, key=lambda info: info["snd_wnd"] or 0, default=dict[str, int | None]())
        return {
            **{name: sum(int(getattr(job, name)) for job in crew.jobs) for name in ("bytes", "sends", "completions")},
            **{name: sum_known([info[name] for info in told]) for name in tcp},
            "closed_windows": len(closed),
            "window": narrowest.get("snd_wnd"),
            "segment": narrowest.get("snd_mss"),
            "outstanding": sum(int(job.tracker.outstanding) for job in crew.jobs),
        }

    def finish(self, crew: Crew) -> dict[str, Any]:
        crew.join()
        threads = counts_of(crew, SENDER_COUNTS)
        for thread, connection in zip(threads, self._connections, strict=True):
            thread["port"] = connection.getsockname()[1]
        latency = merged_latency(crew.jobs)
        told = [tcp_info(connection) for connection in self._connections]
        told_bytes = sum_known([job.told_bytes if job.window_bytes else None for job in crew.jobs])
        for job, connection in zip(crew.jobs, self._connections, strict=True):
            lib.engine_sender_close(job)
            connection.close()
        self._connections = []
        if self._gate_reader is not None:
            os.close(self._gate_reader)
        tcp = ("bytes_sent", "bytes_retrans", "bytes_acked")
        return {
            "threads": threads,
            "latency_ns": latency,
            "closed_ns": max(self._closed_ns),
            **{name: sum_known([info[name] for info in told]) for name in tcp},
            "acks": sum_known(list(map(acks_of, told))),
            "told_bytes": told_bytes,
        }


def may_send_zerocopy() -> bool:
    """Whether the limits allow the least of zero-copy sends: a byte, with its notification.

    Asked of a socket that leads nowhere, which sends nothing: tcp_sendmsg_locked() makes room before it looks for a
    connection, and gives it back. What is refused but by a limit is not told here.
    """
    with socket.socket() as alone:
        try:
            alone.setsockopt(socket.SOL_SOCKET, SO_ZEROCOPY, 1)
            alone.send(b"\0", MSG_ZEROCOPY | socket.MSG_NOSIGNAL)
        except OSError as error:
            return error.errno != errno.ENOBUFS
    return True


def connect(order: dict[str, Any]) -> socket.socket:
    """A connection to the receiver, with what is set of it before its first packet."""
    connection = socket.socket(socket.AF_INET6 if ":" in order["host"] else socket.AF_INET)
    set_buffer(connection, socket.SO_SNDBUF, order["sndbuf"])
    if order["nodelay"]:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if order["congestion"] is not None:
        set_congestion(connection, order["congestion"])
    connection.settimeout(CONNECT_DEADLINE_S)
    try:
        connection.connect((order["host"], order["port"]))
    except OSError as error:
        raise Refused("connect", error.errno or errno.ETIMEDOUT, str(error)) from error
    connection.settimeout(None)
    return connection


def set_congestion(connection: socket.socket, name: str) -> None:
    try:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, name.encode())
    except (OSError, ValueError) as error:
        raise Refused("congestion", getattr(error, "errno", None) or errno.EINVAL, name) from error


def descriptors_of(job: Any) -> list[int]:
    """What the engine has opened for it."""
    return [descriptor for descriptor in (job.file_fd, *job.pipe_fds, job.ring_fd) if descriptor >= 0]


def closed(connection: socket.socket | Datagrams, job: Any) -> int | None:
    """When the peer closed, CLOCK_MONOTONIC, ns; None where it broke off or does not."""
    if isinstance(connection, Datagrams):
        return connection.wait_until_closed(job, lib.ENGINE_STOP_NOW)
    return wait_until_closed(connection, job)


def wait_until_closed(connection: socket.socket, job: Any) -> int | None:
    """When the peer closed: it does so after our last byte, so nothing will be sent again from then on.

    CLOCK_MONOTONIC, ns; None where it broke off, or has everything and does not close. While something is not
    acknowledged this waits, until it is told to stop.
    """
    deadline = time.monotonic() + CLOSE_DEADLINE_S
    connection.settimeout(CLOSE_TICK_S)
    while True:
        try:
            if not connection.recv(1 << 16):
                return time.monotonic_ns()
        except TimeoutError:
            if job.stop == lib.ENGINE_STOP_NOW or (time.monotonic() > deadline and is_all_acknowledged(connection)):
                return None
        except OSError:
            return None


def is_all_acknowledged(connection: socket.socket) -> bool:
    info = tcp_info(connection)
    return not info["unacked"] and not info["notsent_bytes"]


def pool_messages(order: dict[str, Any]) -> int:
    """Messages in a sender's pool: those in flight of a zero-copy sender, those of one call where it takes several."""
    most = MAX_POOL if order["zerocopy"] else MAX_BATCH if order["batches"] else 1
    return min(most, max(MIN_POOL, POOL_BYTES // int(order["size"])))
