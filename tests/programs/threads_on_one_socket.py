"""Three threads on one socket, each in a way of its own, against a reader that is slow; prints what each handed over.

python threads_on_one_socket.py CALLS SIZE
"""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections import Counter
from collections.abc import Callable

from ways import connect, sendfile, writev, zerocopy

Way = Callable[[socket.socket, bytes, "Counter[str]"], int]


def hand_over(sock: socket.socket, way: Way, calls: int, size: int, said: Counter[str]) -> None:
    for _ in range(calls):
        rest = bytes(size)
        while rest:
            rest = rest[way(sock, rest, said) :]


def read_slowly(sock: socket.socket) -> None:
    """A little at a time, so that senders wait for room, in the middle of their calls."""
    while sock.recv(4096):
        pass


def main(calls: int, size: int) -> None:
    sender, receiver = connect("4", "tcp")
    receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)  # with less, TCP sends by its timers
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
    counts: list[Counter[str]] = [Counter() for _ in range(3)]
    ways = zip((writev, zerocopy, sendfile), counts, strict=True)
    senders = [threading.Thread(target=hand_over, args=(sender, way, calls, size, said)) for way, said in ways]
    reading = threading.Thread(target=read_slowly, args=(receiver,))
    for thread in (reading, *senders):
        thread.start()
    for thread in senders:
        thread.join()
    sender.shutdown(socket.SHUT_WR)
    reading.join()
    print(json.dumps(sum(counts, Counter())))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
