"""The receiving side: it listens, and the engine reads from whoever connects."""

from __future__ import annotations

import errno
import socket
import time
from typing import Any

from workloads.child.crew import Crew, Refused, counts_of, kernel_keeps_time_by_tsc, numbered
from workloads.child.tcp import Info, set_buffer, sum_known, tcp_info
from workloads.child.tls import encrypt
from workloads.child.udp import Datagrams, answer
from workloads.engine._engine import ffi, lib

ACCEPT_DEADLINE_S = 15.0
# Of one recv(); measured over loopback with a 512 KiB L2 cache, medians of 5 runs at 64 KiB messages: 14 Gb/s with
# 32 or 64 KiB, 11 with 128, 9 with 256 KiB and 1 MiB. The segments of loopback are just under 64 KiB.
RECEIVE_BUFFER_BYTES = 64 << 10

RECEIVER_COUNTS = (
    "bytes", "reads", "peeked_bytes", "mapped_bytes", "leftover_bytes", "hinted_bytes", "mapped_reads",
    "copied_reads", "first_byte_ns", "last_byte_ns", "wrong_offset", "wrong_byte", "expected_byte",
)  # fmt: skip


class Receiver:
    """Listens on one port for all passes.

    Attributes:
        stop_grace_s: Told to stop, it still reads for so long what the sender has sent until then.
    """

    stop_grace_s = 0.3

    def __init__(self, config: dict[str, Any]) -> None:
        self._address = (config["address"], config["port"])
        self._family = socket.AF_INET6 if ":" in config["address"] else socket.AF_INET
        self._rcvbuf = config["rcvbuf"]
        self._connections: list[socket.socket | Datagrams] = []
        self._ports: list[int] = []
        # Before it listens: the window's scale is told in the handshake.
        self._listener = socket.socket(self._family)
        set_buffer(self._listener, socket.SO_RCVBUF, config["rcvbuf"])
        try:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.bind(self._address)
            self._listener.listen(128)
        except OSError as error:
            raise Refused("listen", error.errno or errno.EIO, str(error)) from error

    def hello(self) -> dict[str, Any]:
        return {"port": self._listener.getsockname()[1]}

    def prepare(self, order: dict[str, Any]) -> Crew:
        deadline = time.monotonic() + ACCEPT_DEADLINE_S
        while len(self._connections) < order["threads"]:
            self._listener.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                connection, (_, port, *_) = self._listener.accept()
            except TimeoutError:
                raise Refused("accept", errno.ETIMEDOUT, f"{len(self._connections)} connections came") from None
            connection.settimeout(None)
            if order["protocol"] == "tls":
                encrypt(connection, "receive")
            if order["protocol"] == "udp":
                datagrams = self._answered(connection)
                self._connections.append(datagrams)
                self._ports.append(datagrams.getpeername()[1])
            else:
                self._connections.append(connection)
                self._ports.append(port)
        jobs = [self._job(connection, order) for connection in self._connections]
        for job in jobs:
            if result := lib.engine_receiver_open(job):
                raise Refused(ffi.string(job.step).decode(), result)
        own = [
            descriptor for job in jobs for descriptor in (*job.pipe_fds, job.null_fd, job.ring_fd) if descriptor >= 0
        ]
        own += [one.control.fileno() for one in self._connections if isinstance(one, Datagrams)]
        return Crew(lambda job, _: lib.engine_receive(job), jobs, self._connections, socket.SHUT_RD, *own)

    def _answered(self, connection: socket.socket) -> Datagrams:
        address = (self._address[0], self._listener.getsockname()[1])
        return answer(connection, address, self._rcvbuf)

    def _job(self, connection: socket.socket | Datagrams, order: dict[str, Any]) -> Any:
        job = ffi.new("struct engine_receiver *")
        job.fd = connection.fileno()
        if isinstance(connection, Datagrams):
            connection.receive_by(job)
        job.take = numbered(f"take_{order['receive']}")
        job.use_tsc = kernel_keeps_time_by_tsc()
        job.verify = order["verify"]
        job.message_bytes = order["size"]
        job.buffer_bytes = RECEIVE_BUFFER_BYTES
        return job

    def release(self) -> None:
        """The receiver's gate is recv()."""

    def progress(self, crew: Crew) -> Info:
        """What has come until now."""
        return {"bytes": sum(int(job.bytes) for job in crew.jobs)}

    def finish(self, crew: Crew) -> dict[str, Any]:
        crew.join()
        told = [tcp_info(connection) for connection in self._connections]
        for job, connection in zip(crew.jobs, self._connections, strict=True):
            lib.engine_receiver_close(job)
            connection.close()
        threads = counts_of(crew, RECEIVER_COUNTS)
        for thread, port in zip(threads, self._ports, strict=True):
            thread["port"] = port
        self._connections, self._ports = [], []
        return {
            "threads": threads,
            "bytes_received": sum_known([info["bytes_received"] for info in told]),
        }
