"""Kernel TLS (a fixed key) over loopback; prints what it counted itself, as JSON.

    python ktls.py SEND READ CALLS SIZE [VERSION]

SEND: send, sendfile. READ: recv, splice. VERSION: 1.2 with AES-GCM-128, 1.3 with AES-GCM-256. A line in the clear goes
before, as a handshake does, which may have had records of its own.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
import threading
from collections import Counter

from ways import recv, send, sendfile, splice_out

TCP_ULP, SOL_TLS, TLS_TX, TLS_RX = 31, 282, 1, 2
# Version, cipher and key of linux/tls.h.
TLS = {"1.2": (0x0303, 51, bytes(range(16))), "1.3": (0x0304, 52, bytes(range(32)))}
FIRST = bytes((0, 0, 0, 0, 0, 0, 1, 7))
HELLO = b"hello\n"


def encrypt(sock: socket.socket, direction: int, version: str) -> None:
    """struct tls12_crypto_info_aes_gcm_128, or 256: iv, key, salt, number of the first record."""
    sock.setsockopt(socket.IPPROTO_TCP, TCP_ULP, b"tls")
    number, cipher, key = TLS[version]
    info = struct.pack(f"<HH8s{len(key)}s4s8s", number, cipher, bytes(8), key, b"salt", FIRST)
    sock.setsockopt(SOL_TLS, direction, info)


def drain(sock: socket.socket, how: str, said: Counter[str]) -> None:
    while {"recv": recv, "splice": splice_out}[how](sock, said):
        pass


def main(way: str, how: str, calls: int, size: int, version: str = "1.2") -> None:
    said: Counter[str] = Counter()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sender = socket.create_connection(listener.getsockname())
        receiver, _ = listener.accept()
    send(sender, HELLO, said)
    said["read_copy"] += len(receiver.recv(len(HELLO), socket.MSG_WAITALL))
    encrypt(sender, TLS_TX, version)
    encrypt(receiver, TLS_RX, version)
    reading = threading.Thread(target=drain, args=(receiver, how, said))
    reading.start()
    for _ in range(calls):
        rest = bytes(size)
        while rest:
            rest = rest[{"send": send, "sendfile": sendfile}[way](sender, rest, said) :]
    sender.shutdown(socket.SHUT_WR)
    reading.join()
    print(json.dumps(said))


if __name__ == "__main__":
    main(*sys.argv[1:3], int(sys.argv[3]), int(sys.argv[4]), *sys.argv[5:])
