"""Splices out of a socket whose protocol is not TCP what was sent to it; prints how many bytes.

python spliced_out.py udp|mptcp
"""

from __future__ import annotations

import os
import socket
import sys

MPTCP = 262


def splice(sock: socket.socket) -> int:
    reader, writer = os.pipe()
    number = os.splice(sock.fileno(), writer, 65536)
    os.close(reader)
    os.close(writer)
    return number


def datagrams() -> tuple[socket.socket, socket.socket]:
    sender, receiver = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    receiver.bind(("127.0.0.1", 0))
    sender.connect(receiver.getsockname())
    return sender, receiver


def multipath() -> tuple[socket.socket, socket.socket]:
    listener, sender = (socket.socket(socket.AF_INET, socket.SOCK_STREAM, MPTCP) for _ in range(2))
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    sender.connect(listener.getsockname())
    return sender, listener.accept()[0]


def main(kind: str) -> None:
    sender, receiver = {"udp": datagrams, "mptcp": multipath}[kind]()
    number = 0
    for _ in range(7):
        sender.sendall(bytes(1009))
        number += splice(receiver)
    print(number)


if __name__ == "__main__":
    main(sys.argv[1])
