"""Kernel TLS 1.2 (AES-GCM-128, a fixed key) over loopback; prints what it counted itself, as JSON.

    python ktls.py SEND READ CALLS SIZE

SEND: send, sendfile. READ: recv, splice. A line in the clear goes before, as a handshake does.
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
TLS_1_2, AES_GCM_128 = 0x0303, 51
HELLO = b"hello\n"


def encrypt(sock: socket.socket, direction: int) -> None:
    """struct tls12_crypto_info_aes_gcm_128: iv, key, salt, number of the first record."""
    sock.setsockopt(socket.IPPROTO_TCP, TCP_ULP, b"tls")
    info = struct.pack("<HH8s16s4s8s", TLS_1_2, AES_GCM_128, bytes(8), bytes(range(16)), b"salt", bytes(8))
    sock.setsockopt(SOL_TLS, direction, info)


def drain(sock: socket.socket, how: str, said: Counter[str]) -> None:
    while {"recv": recv, "splice": splice_out}[how](sock, said):
        pass


def main(way: str, how: str, calls: int, size: int) -> None:
    said: Counter[str] = Counter()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sender = socket.create_connection(listener.getsockname())
        receiver, _ = listener.accept()
    send(sender, HELLO, said)
    said["read_copy"] += len(receiver.recv(len(HELLO), socket.MSG_WAITALL))
    encrypt(sender, TLS_TX)
    encrypt(receiver, TLS_RX)
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
    main(*sys.argv[1:3], int(sys.argv[3]), int(sys.argv[4]))
