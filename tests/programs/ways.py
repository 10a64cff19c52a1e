"""One connection over loopback, in one way to send and one to read; prints what it counted itself, as JSON.

    python ways.py SEND READ CALLS SIZE [FAMILY [KIND]]

It imports nothing but the standard library: it stands for somebody's own program.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import struct
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable

MSG_ZEROCOPY = 0x4000000
SO_ZEROCOPY = 60
ORIGIN_ZEROCOPY = 5

Send = Callable[[socket.socket, bytes, "Counter[str]"], int]
Read = Callable[[socket.socket, "Counter[str]"], int]


def send(sock: socket.socket, data: bytes, said: Counter[str]) -> int:
    said["copy"] += (number := sock.send(data))
    return number


def sendmsg(sock: socket.socket, data: bytes, said: Counter[str]) -> int:
    said["copy"] += (number := sock.sendmsg([data[:100], data[100:]]))
    return number


def writev(sock: socket.socket, data: bytes, said: Counter[str]) -> int:
    said["copy"] += (number := os.writev(sock.fileno(), [data[:100], data[100:]]))
    return number


def zerocopy(sock: socket.socket, data: bytes, said: Counter[str]) -> int:
    sock.setsockopt(socket.SOL_SOCKET, SO_ZEROCOPY, 1)
    while True:
        try:
            number = sock.send(data, MSG_ZEROCOPY)
            break
        except OSError as error:
            if error.errno != 105:
                raise
            said["enobufs"] += 1
            reap(sock, said, 1000)
    said["zerocopy"] += number
    said["zerocopy_calls"] += 1
    reap(sock, said, 0)
    return number


def zerocopy_ignored(sock: socket.socket, data: bytes, said: Counter[str]) -> int:
    said["zerocopy_ignored"] += (number := sock.send(data, MSG_ZEROCOPY))
    return number


def mixed(sock: socket.socket, data: bytes, said: Counter[str]) -> int:
    """A header that is copied and a body that is not, in one skb."""
    header, body = data[: len(data) // 3], data[len(data) // 3 :]
    said["copy"] += (number := sock.send(header, socket.MSG_MORE))
    if number < len(header):
        return number
    return number + zerocopy(sock, body, said)


def sendfile(sock: socket.socket, data: bytes, said: Counter[str]) -> int:
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        said["splice"] += (number := os.sendfile(sock.fileno(), file.fileno(), 0, len(data)))
        return number


def splice(sock: socket.socket, data: bytes, said: Counter[str]) -> int:
    reader, writer = os.pipe()
    os.write(writer, data)
    said["splice"] += (number := os.splice(reader, sock.fileno(), len(data)))
    os.close(reader)
    os.close(writer)
    return number


def reap(sock: socket.socket, said: Counter[str], wait_ms: int) -> None:
    poll = select.poll()
    poll.register(sock, 0)
    if wait_ms:
        poll.poll(wait_ms)
    while True:
        try:
            _, ancillary, _, _ = sock.recvmsg(1, 256, socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        for _, _, data in ancillary:
            _, origin, _, code, _, low, high = struct.unpack_from("<IBBBBII", data)
            if origin == ORIGIN_ZEROCOPY:
                said["ranges"] += 1
                said["reaped"] += high - low + 1
                said["reaped_copied"] += (high - low + 1) * (code & 1)


def recv(sock: socket.socket, said: Counter[str]) -> int:
    said["read_copy"] += (number := len(sock.recv(65536)))
    return number


def peek(sock: socket.socket, said: Counter[str]) -> int:
    said["read_peek"] += len(sock.recv(4096, socket.MSG_PEEK))
    return recv(sock, said)


def discard(sock: socket.socket, said: Counter[str]) -> int:
    number = sock.recv_into(bytearray(65536), 65536, socket.MSG_TRUNC)
    said["read_discard"] += number
    return number


def splice_out(sock: socket.socket, said: Counter[str]) -> int:
    reader, writer = os.pipe()
    said["read_splice"] += (number := os.splice(sock.fileno(), writer, 65536))
    os.close(reader)
    os.close(writer)
    return number


SENDS: dict[str, Send] = {
    one.__name__: one for one in (send, sendmsg, writev, zerocopy, zerocopy_ignored, mixed, sendfile, splice)
}
READS: dict[str, Read] = {one.__name__: one for one in (recv, peek, discard, splice_out)}


def main(way: str, read: str, calls: int, size: int, family: str = "4", kind: str = "tcp") -> None:
    said: Counter[str] = Counter()
    sender, receiver = connect(family, kind)
    if kind == "udp":
        said["sent"] = talk_datagrams(sender, receiver, SENDS[way], calls, size, said)
    else:
        reading = threading.Thread(target=drain, args=(receiver, READS[read], said))
        reading.start()
        for _ in range(calls):
            rest = bytes(size)
            while rest:
                number = SENDS[way](sender, rest, said)
                said["sent"] += number
                rest = rest[number:]
        sender.shutdown(socket.SHUT_WR)
        reading.join()
    while said["reaped"] < said["zerocopy_calls"]:
        reap(sender, said, 1000)
    print(json.dumps(said))


def talk_datagrams(
    sender: socket.socket, receiver: socket.socket, one: Send, calls: int, size: int, said: Counter[str]
) -> int:
    for _ in range(calls):
        assert one(sender, bytes(size), said) == size
        recv(receiver, said)
    return calls * size


def drain(receiver: socket.socket, read: Read, said: Counter[str]) -> None:
    while read(receiver, said):
        pass


def connect(family: str, kind: str) -> tuple[socket.socket, socket.socket]:
    af, host = (socket.AF_INET6, "::1") if family == "6" else (socket.AF_INET, "127.0.0.1")
    if kind == "udp":
        receiver, sender = (socket.socket(af, socket.SOCK_DGRAM) for _ in range(2))
        receiver.bind((host, 0))
        sender.connect(receiver.getsockname())
        return sender, receiver
    with contextlib.closing(socket.create_server((host, 0), family=af)) as listener:
        sender = socket.create_connection(listener.getsockname()[:2])
        return sender, listener.accept()[0]


if __name__ == "__main__":
    main(*sys.argv[1:3], int(sys.argv[3]), int(sys.argv[4]), *sys.argv[5:])
