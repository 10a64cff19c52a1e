"""A sender over loopback that makes one of the usual mistakes, or none; prints what it counted itself, as JSON.

    python mistakes.py MISTAKE CALLS SIZE [PORT]

PORT is somebody else's, who reads; without it the program reads itself what it sends.
It imports nothing but the standard library: it stands for somebody's own program.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import socket
import struct
import sys
import termios
import threading
import time
from collections import Counter

MSG_ZEROCOPY = 0x4000000
SO_ZEROCOPY = 60
DRAIN_EVERY = 32


def one_notification(sock: socket.socket, said: Counter[str]) -> bool:
    """Take what one read of the error queue gives."""
    try:
        _, ancillary, _, _ = sock.recvmsg(1, 256, socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    for _, _, data in ancillary:
        _, _, _, _, _, low, high = struct.unpack_from("<IBBBBII", data)
        said["reads"] += 1
        said["reaped"] += high - low + 1
    return True


def drain(sock: socket.socket, said: Counter[str]) -> None:
    while one_notification(sock, said):
        pass


def wait(sock: socket.socket) -> None:
    """Until something is in the error queue."""
    poll = select.poll()
    poll.register(sock, 0)
    poll.poll(1000)


def take_after_send(mistake: str, sock: socket.socket, calls: int, said: Counter[str]) -> None:
    if mistake == "one-notification-a-drain":
        wait(sock)
        one_notification(sock, said)
    elif mistake == "sleep-loop":
        while not one_notification(sock, said):
            time.sleep(0.001)
        time.sleep(0.001)
    elif not said["calls"] % DRAIN_EVERY and said["calls"] < last_drain(mistake, calls):
        drain(sock, said)


def last_drain(mistake: str, calls: int) -> int:
    """How many sends the queue is read for."""
    return {"queue-never-read": 0, "queue-read-for-a-while": calls // 2}.get(mistake, calls + 1)


def send_all(mistake: str, sock: socket.socket, calls: int, size: int, said: Counter[str]) -> None:
    if mistake != "no-so-zerocopy":
        sock.setsockopt(socket.SOL_SOCKET, SO_ZEROCOPY, 1)
    if mistake == "small-pieces":
        # Pinned pieces of one buffer are not joined: an skb is full when it has as many as it has room for.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    data = bytes(size)
    for _ in range(calls):
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[sock.send(rest, MSG_ZEROCOPY) :]
            except OSError as error:
                if error.errno != 105:
                    raise
                if not said["enobufs"]:
                    said["first_enobufs"] = said["calls"]
                said["enobufs"] += 1
                rest = rest[sock.send(rest) :]
                continue
            said["calls"] += 1
            take_after_send(mistake, sock, calls, said)


def wait_until_acknowledged(sock: socket.socket) -> None:
    """SIOCOUTQ says how much is not: until then notifications are still to come."""
    while struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)))[0]:
        os.sched_yield()


def pieces(mistake: str, sock: socket.socket, calls: int, size: int) -> None:
    """Small writes that the kernel joins, or the same bytes at once."""
    if mistake == "small-writes":
        # What is written while the first segment waits for its acknowledgement, or is corked, is joined.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        for _ in range(calls):
            sock.sendall(bytes(size))
    else:
        sock.sendall(bytes(calls * size))


def datagrams(mistake: str, calls: int, size: int) -> None:
    """To a socket that nobody reads, with room for a few; or to one that is read at once."""
    receiver, sender = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * size)
    receiver.bind(("127.0.0.1", 0))
    for _ in range(calls):
        sender.sendto(bytes(size), receiver.getsockname())
        if mistake != "nobody-reads":
            receiver.recv(size)


def read_all(sock: socket.socket, size: int) -> None:
    while sock.recv(size):
        pass


def connect(piece: int) -> tuple[socket.socket, threading.Thread]:
    """A connection to itself, and who reads its other end."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:
        sender = socket.create_connection(listener.getsockname())
        receiver = listener.accept()[0]
    return sender, threading.Thread(target=read_all, args=(receiver, piece))


def main(mistake: str, calls: int, size: int, port: int = 0) -> None:
    said: Counter[str] = Counter()
    if mistake in ("nobody-reads", "datagrams"):
        datagrams(mistake, calls, size)
        return
    if port:
        sender, reading = socket.create_connection(("127.0.0.1", port)), threading.Thread()
    else:
        sender, reading = connect(101 if mistake == "tiny-reads" else 1 << 18)
    reading.start()
    if mistake in ("small-writes", "tiny-reads", "plain"):
        pieces(mistake, sender, calls, size)
    else:
        send_all(mistake, sender, calls, size, said)
    if mistake in ("small-pieces", "small-writes"):
        sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
    wait_until_acknowledged(sender)
    sender.shutdown(socket.SHUT_WR)
    reading.join()
    while not mistake.startswith(("queue", "no-so")) and said["reaped"] < said["calls"]:
        wait(sender)
        drain(sender, said)
    sender.close()
    print(json.dumps(said))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
