"""A program that does what it is told: executes the lines of its standard input, and answers each in one."""

import json
import os  # noqa: F401 - for the lines
import socket
import sys
import threading


def pair(family: int = socket.AF_INET) -> tuple[socket.socket, socket.socket]:
    """Both ends of a TCP connection over loopback."""
    listener = socket.create_server(("127.0.0.1", 0) if family == socket.AF_INET else ("::1", 0), family=family)
    with listener:
        client = socket.create_connection(listener.getsockname()[:2])
        return client, listener.accept()[0]


def take(sock: socket.socket, number: int) -> int:
    """Read exactly so many bytes, or up to the end."""
    left = number
    while left and (data := sock.recv(min(left, 65536))):
        left -= len(data)
    return number - left


def send(sock: socket.socket, calls: int, size: int, to: socket.socket) -> None:
    """Send, while a thread reads it all."""
    reader = threading.Thread(target=take, args=(to, calls * size))
    reader.start()
    for _ in range(calls):
        sock.sendall(bytes(size))
    reader.join()


scope = dict(globals())
for line in sys.stdin:
    scope["said"] = None
    try:
        exec(json.loads(line), scope)
        answer = {"said": scope["said"]}
    except Exception as error:
        answer = {"error": repr(error)}
    print(json.dumps(answer), flush=True)
