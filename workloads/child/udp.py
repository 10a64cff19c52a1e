"""UDP connections: a datagram socket on each side, and a TCP connection beside it.

On that, both agree before the first datagram, and the engine then tells how far it is (workloads/engine/datagrams.c).
It carries the same port as the datagrams and another protocol, so nobody counts it among the payload.

    receiver                         sender
                                <-   GREETING
    size of its receive buffer  ->
                                <-   how often it wants to be told, bytes read; bytes of a datagram
                                <-   an empty datagram: the address that the others will come from
    its own address is bound    ->
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import time
from typing import Any

from workloads.child.crew import Refused
from workloads.child.tcp import set_buffer

AGREE_DEADLINE_S, AGAIN_S = 10.0, 0.2
# A receiver that is alive ends in half a second, when nothing more comes (LOST_AFTER_MS of the engine).
CLOSE_DEADLINE_S = 2.0
# A receiver that takes streams, too, knows by it what is to come.
GREETING = b"nt-udp/1"
_NUMBER = struct.Struct("!Q")
_UDP_SEGMENT = 103  # linux/udp.h
# What a queued datagram is charged for: kmalloc() rounds its bytes up to a power of two, and its skb comes on top
# (skb_set_owner_r(), truesize). A quarter of the buffer is given back late (udp_rmem_release()).
_SKB_BYTES = 1024
_PAGE_BYTES = os.sysconf("SC_PAGESIZE")


class Datagrams:
    """One of the two sockets with its TCP connection; to the crew it is a connection as any other.

    Args:
        pace_bytes: Of a sender's, how much may be on its way; of a receiver's, how often it tells how much it has read.
        segment_bytes: Of a datagram, but for the last one of a message.

    Attributes:
        job: The engine's, of a receiver.
    """

    def __init__(self, udp: socket.socket, control: socket.socket, pace_bytes: int, segment_bytes: int) -> None:
        self._udp, self.control, self.pace_bytes, self._segment_bytes = udp, control, pace_bytes, segment_bytes
        self.job: Any = None
        # Nobody waits for an answer to these numbers before the next one is told.
        control.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def receive_by(self, job: Any) -> None:
        """Have an engine's job read them."""
        job.fd, job.control_fd, job.report_bytes = self._udp.fileno(), self.control.fileno(), self.pace_bytes
        job.segment_bytes = self._segment_bytes
        self.job = job

    def getsockname(self) -> Any:
        return self._udp.getsockname()

    def getpeername(self) -> Any:
        return self._udp.getpeername()

    def fileno(self) -> int:
        return self._udp.fileno()

    def shutdown(self, direction: int) -> None:
        if self.job is not None:
            self.job.stop = 1  # its end looks as an empty datagram does
        self._udp.shutdown(direction)

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        return self._udp.getsockopt(level, option, size)

    def close(self) -> None:
        self._udp.close()
        self.control.close()

    def wait_until_closed(self, job: Any, stopped: int) -> int | None:
        """When the receiver closed, having read what came; it says how much that was. The end is told again meanwhile.

        CLOCK_MONOTONIC, ns; None where it broke off, or does not close.
        """
        self.control.settimeout(AGAIN_S)
        deadline = time.monotonic() + CLOSE_DEADLINE_S
        while True:
            try:
                if not (told := self.control.recv(_NUMBER.size, socket.MSG_WAITALL)):
                    return time.monotonic_ns()
                (job.told_bytes,) = _NUMBER.unpack(told)
                deadline = time.monotonic() + CLOSE_DEADLINE_S
            except TimeoutError:
                if job.stop == stopped or time.monotonic() > deadline:
                    return None
                self._udp.send(b"")
            except (OSError, struct.error):
                return None


def window_messages(buffer_bytes: int, order: dict[str, Any]) -> int:
    """How many messages a receive buffer surely holds; one at least."""
    return max(1, buffer_bytes * 3 // 4 // charge_of(order))


def charge_of(order: dict[str, Any]) -> int:
    """What a message is charged to the receiver's buffer at most, bytes: pinned, each field is so in whole pages."""
    size = int(order["size"])
    datagrams = -(-size // (order["segment"] or size))
    if order["zerocopy"]:
        return most_pages(size, order["fields"]) * _PAGE_BYTES + _SKB_BYTES
    return 2 * size + datagrams * _SKB_BYTES


def most_pages(size: int, fields: int) -> int:
    """Pages that the fields of a message touch at most; each may begin and end anywhere in one."""
    each = size // fields
    sizes = [each] * (fields - 1) + [size - each * (fields - 1)] if each else [size]
    return sum((one - 1 + _PAGE_BYTES - 1) // _PAGE_BYTES + 1 for one in sizes)


def answer(control: socket.socket, address: tuple[str, int], rcvbuf: int | None) -> Datagrams:
    """The receiver's side: listens for the datagrams of who has connected, and for nobody else's.

    Raises:
        Refused: the port is taken, or the sender's datagrams do not come.
    """
    udp = socket.socket(control.family, socket.SOCK_DGRAM)
    # Each thread's socket has the same port; the one that is not connected yet gets what none of the others is sent.
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    set_buffer(udp, socket.SO_RCVBUF, rcvbuf)
    try:
        udp.bind(address)
    except OSError as error:
        raise Refused("listen", error.errno or errno.EIO, str(error)) from error
    control.settimeout(AGREE_DEADLINE_S)
    udp.settimeout(AGREE_DEADLINE_S)
    try:
        control.recv(len(GREETING), socket.MSG_WAITALL)
        control.sendall(_NUMBER.pack(udp.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)))
        report_bytes, segment_bytes = _hear(control), _hear(control)
        udp.connect(udp.recvfrom(1)[1])
        control.sendall(_NUMBER.pack(0))
    except (OSError, struct.error) as error:
        raise Refused("datagrams", errno.ETIMEDOUT, str(error)) from error
    control.settimeout(None)
    udp.settimeout(None)
    return Datagrams(udp, control, report_bytes, segment_bytes)


def ask(control: socket.socket, order: dict[str, Any]) -> Datagrams:
    """The sender's side, over a connection to the receiver.

    Raises:
        Refused: the receiver knows no datagrams, or they do not reach it.
    """
    udp = socket.socket(control.family, socket.SOCK_DGRAM)
    set_buffer(udp, socket.SO_SNDBUF, order["sndbuf"])
    control.settimeout(AGREE_DEADLINE_S)
    try:
        control.sendall(GREETING)
        window = window_messages(_hear(control), order)
        report_bytes, segment_bytes = order["size"] * max(1, window // 2), order["segment"] or order["size"]
        control.sendall(_NUMBER.pack(report_bytes) + _NUMBER.pack(segment_bytes))
        udp.connect((order["host"], order["port"]))
        _knock(udp, control)
        if order["segment"]:
            udp.setsockopt(socket.IPPROTO_UDP, _UDP_SEGMENT, order["segment"])
    except (OSError, struct.error) as error:
        raise Refused("datagrams", errno.ETIMEDOUT, str(error)) from error
    control.settimeout(None)
    return Datagrams(udp, control, order["size"] * window, segment_bytes)


def _knock(udp: socket.socket, control: socket.socket) -> None:
    """Until the receiver knows where the datagrams come from; one that is lost is sent again."""
    control.settimeout(AGAIN_S)
    deadline = time.monotonic() + AGREE_DEADLINE_S
    while True:
        udp.send(b"")
        try:
            _hear(control)
            return
        except TimeoutError:
            if time.monotonic() > deadline:
                raise


def _hear(control: socket.socket) -> int:
    return int(_NUMBER.unpack(control.recv(_NUMBER.size, socket.MSG_WAITALL))[0])
