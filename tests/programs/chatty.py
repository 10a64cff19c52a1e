"""Moves 1009 B over a TCP connection of its own, ten times a second, and says so, until its time is over."""

import socket
import sys
import time

TIMES = int(sys.argv[1])
with socket.create_server(("127.0.0.1", 0)) as server:
    sender, reader = socket.create_connection(server.getsockname()), server.accept()[0]
print(f"ready {sender.getsockname()[1]}", flush=True)
for _ in range(TIMES):
    sender.send(b"x" * 1009)
    reader.recv(1 << 16)
    time.sleep(0.1)
print("done", flush=True)
