"""A plain receiver for senders on other machines: takes any number of connections, reads, and counts."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from tracer.books.results import receiver_failure
from tracer.errors import NettraceError
from workloads.child.crew import Refused
from workloads.child.receiver import RECEIVE_BUFFER_BYTES
from workloads.child.udp import GREETING, Datagrams, answer
from workloads.engine._engine import ffi, lib


@dataclass
class Connection:
    """One sender's connection.

    Args:
        bytes: Read from it so far; final once `ended` is set.
        result: 0, or the engine's error.
        verified_size: Bytes of a message whose pattern every byte is compared with; None where none is.
    """

    peer: str
    socket: socket.socket | Datagrams
    job: Any
    ended: threading.Event
    verified_size: int | None = None
    result: int = 0

    @property
    def bytes(self) -> int:
        """Bytes read until now."""
        return int(self.job.bytes)

    @property
    def failure(self) -> NettraceError | None:
        """What went wrong with it, once it has ended: it broke, or a byte came that was not sent."""
        if not self.result:
            return None
        wrong = {name: int(getattr(self.job, name)) for name in ("wrong_offset", "wrong_byte", "expected_byte")}
        return receiver_failure(self.verified_size or 1, {"result": self.result, **wrong})


class Server:
    """Listens for the time of a block, a thread for each connection.

    Args:
        on_end: Called with each connection that has ended, by its thread, one at a time.
        verified_size: Compare every byte with the pattern that a verifying sender writes into messages of so many
            bytes; None only counts. A sender that does not verify writes another one.

    Raises:
        OSError: the address cannot be listened on.
    """

    def __init__(
        self,
        address: str,
        port: int,
        on_end: Callable[[Connection], None] | None = None,
        verified_size: int | None = None,
    ) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._listener = socket.create_server((address, port), family=family, backlog=128)
        self.address, self.port = self._listener.getsockname()[:2]
        self._on_end = on_end
        self._verified_size = verified_size
        self._accepted: list[Connection] = []
        self._closing, self._close = os.pipe()
        self._one_ended = threading.Condition()
        # Of several datagram sockets on one port, one at a time waits to be told whose it is.
        self._agreeing = threading.Lock()
        self._acceptor = threading.Thread(target=self._accept_all, daemon=True)

    def __enter__(self) -> Server:
        self._acceptor.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self._close)
        self._acceptor.join()
        os.close(self._closing)
        self._listener.close()
        for connection in self._accepted:
            with contextlib.suppress(OSError):  # it has ended by itself
                connection.socket.shutdown(socket.SHUT_RDWR)
        with self._one_ended:
            self._one_ended.wait_for(lambda: self.all_ended)

    @property
    def connections(self) -> list[Connection]:
        """Those that brought something, in the order in which they came; a run also holds an idle one."""
        return [connection for connection in self._accepted if connection.bytes]

    @property
    def all_ended(self) -> bool:
        """Whether no connection is open."""
        return all(connection.ended.is_set() for connection in self._accepted)

    def _accept_all(self) -> None:
        waiting = select.poll()
        for source in (self._closing, self._listener.fileno()):
            waiting.register(source, select.POLLIN)
        while self._closing not in {descriptor for descriptor, _ in waiting.poll()}:
            with contextlib.suppress(ConnectionAbortedError):
                self._receive(*self._listener.accept())

    def _receive(self, accepted: socket.socket, peer: Any) -> None:
        accepted.settimeout(None)
        job = ffi.new("struct engine_receiver *")
        job.fd = accepted.fileno()
        job.take, job.buffer_bytes = lib.ENGINE_TAKE_RECV, RECEIVE_BUFFER_BYTES
        job.verify, job.message_bytes = self._verified_size is not None, self._verified_size or 1
        connection = Connection(f"{peer[0]}:{peer[1]}", accepted, job, threading.Event(), self._verified_size)
        self._accepted.append(connection)
        threading.Thread(target=self._read, args=(connection,), daemon=True).start()

    def _read(self, connection: Connection) -> None:
        try:
            self._agree(connection)
            connection.result = lib.engine_receiver_open(connection.job) or lib.engine_receive(connection.job)
        except Refused as refused:
            connection.result = -abs(refused.code)
        lib.engine_receiver_close(connection.job)
        connection.socket.close()
        with self._one_ended:
            connection.ended.set()
            self._one_ended.notify_all()
            if self._on_end is not None:
                self._on_end(connection)

    def _agree(self, connection: Connection) -> None:
        """If it is beside datagrams, receive these. Whoever holds an idle one says nothing until it is closed."""
        control = connection.socket
        assert isinstance(control, socket.socket), "nothing has been agreed on yet"
        with contextlib.suppress(OSError):  # whoever reads it learns that it broke
            # Whoever sends no greeting need not send as many bytes as one has.
            if control.recv(1, socket.MSG_PEEK) != GREETING[:1]:
                return
            if control.recv(len(GREETING), socket.MSG_PEEK | socket.MSG_WAITALL) == GREETING:
                with self._agreeing:
                    connection.socket = datagrams = answer(control, (self.address, self.port), None)
                datagrams.receive_by(connection.job)

    def wait_for(self, count: int, deadline_s: float) -> bool:
        """Whether so many connections have come and ended, waiting for at most so many seconds."""
        with self._one_ended:
            return self._one_ended.wait_for(
                lambda: sum(one.ended.is_set() for one in self.connections) >= count, deadline_s
            )
