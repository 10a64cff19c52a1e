"""The program of lesson 4: sends a file to a reader on this machine, in one of two ways. Standard library alone.

python3 file_sender.py send|sendfile|both SIZE ROUNDS

A file of SIZE bytes is sent over and over, ROUNDS times 4 MiB of it. "both" takes turns, and prints a JSON document: by
way, the CPU time of this process per byte in each round, ns. The reader is another process.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import sys
import tempfile
import time
from typing import BinaryIO

ROUND_BYTES = 4 << 20
_BLOCK = 64 << 10


def by_send(connection: socket.socket, file: BinaryIO) -> None:
    """The program reads the file, and sends what it read."""
    while block := file.read(_BLOCK):
        connection.sendall(block)


def by_sendfile(connection: socket.socket, file: BinaryIO) -> None:
    """The kernel is told to send the file."""
    connection.sendfile(file)


WAYS = {"send": by_send, "sendfile": by_sendfile}


def read_all(listener: socket.socket, sender: int) -> None:
    """The reader: takes each connection's bytes and answers with one when the sender is done.

    Args:
        sender: A pipe that the sender alone can write to: at its end, however it comes, the pipe can be read.
    """
    while sender not in select.select([listener.fileno(), sender], [], [])[0]:
        with contextlib.suppress(OSError), listener.accept()[0] as connection:
            while connection.recv(1 << 20):
                pass
            connection.send(b".")


def round_of(way: str, address: tuple[str, int], file: BinaryIO, size: int) -> float:
    """One round over a connection of its own: CPU time a byte, ns."""
    with socket.create_connection(address) as connection:
        began, times = time.process_time_ns(), max(1, ROUND_BYTES // size)
        for _ in range(times):
            file.seek(0)
            WAYS[way](connection, file)
        spent = time.process_time_ns() - began
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1)
    return spent / (times * size)


def main() -> None:
    way, size, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    ways = list(WAYS) if way == "both" else [way]
    listener = socket.create_server(("127.0.0.1", 0))
    sender, held = os.pipe()
    if (reader := os.fork()) == 0:
        os.close(held)
        read_all(listener, sender)
        os._exit(0)
    with tempfile.TemporaryFile() as file:
        file.write(os.urandom(size))
        file.flush()
        found: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(rounds):
            for name in ways:
                found[name].append(round_of(name, listener.getsockname(), file, size))
    os.close(held)
    os.waitpid(reader, 0)
    if way == "both":
        print(json.dumps(found))


if __name__ == "__main__":
    main()
