"""Uncommon things that a program may do with sockets: `legal.py NAME...`; prints what it has sent and read.

Each begins with sockets of its own; what a call returns is counted, and nothing else.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import mmap
import select
import socket
import struct
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

COMM = "legal"
SEGMENT, CORK, DEFER_ACCEPT, FASTOPEN, FASTOPEN_CONNECT = 103, 1, 9, 23, 30
MSG_ZEROCOPY, MSG_FASTOPEN, SO_ZEROCOPY = 0x4000000, 0x20000000, 60
libc = ctypes.CDLL(None, use_errno=True)
moved: Counter[str] = Counter()


def send(sock: socket.socket, data: bytes, flags: int = 0) -> None:
    moved["sent"] += sock.send(data, flags)


def read(sock: socket.socket, size: int, flags: int = 0) -> int:
    number = len(sock.recv(size, flags))
    moved["read"] += number
    return number


def drain(sock: socket.socket) -> None:
    with contextlib.suppress(ConnectionResetError):
        while read(sock, 65536):
            pass


def arrives(sock: socket.socket, size: int) -> None:
    """Until so many bytes can be read."""
    while len(sock.recv(size, socket.MSG_PEEK | socket.MSG_WAITALL)) < size:
        pass


def listener(family: int = socket.AF_INET) -> socket.socket:
    sock = socket.socket(family)
    sock.bind(("127.0.0.1" if family == socket.AF_INET else "::1", 0))
    sock.listen()
    return sock


def pair(family: int = socket.AF_INET) -> tuple[socket.socket, socket.socket]:
    with listener(family) as server:
        client = socket.socket(family)
        client.connect(server.getsockname())
        return client, server.accept()[0]


def datagrams() -> tuple[socket.socket, socket.socket]:
    reader, sender = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    reader.bind(("127.0.0.1", 0))
    sender.connect(reader.getsockname())
    return sender, reader


def disconnect(sock: socket.socket) -> None:
    """connect() to AF_UNSPEC."""
    assert libc.connect(sock.fileno(), bytes(16), 16) == 0


def reset_at_close(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def reset_of_what_has_left() -> None:
    client, server = pair()
    reset_at_close(client)
    send(client, bytes(503))
    arrives(server, 503)
    client.close()
    drain(server)


def reset_of_what_has_not_left() -> None:
    for family in (socket.AF_INET, socket.AF_INET6):
        client, server = pair(family)
        reset_at_close(client)
        client.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                send(client, bytes(50021))
        client.close()
        drain(server)


def reset_with_unread_bytes() -> None:
    client, server = pair()
    send(client, bytes(1009))
    arrives(server, 1009)
    read(server, 101)
    reset_at_close(server)
    server.close()


def disconnected_and_connected_again() -> None:
    """Read to the end, in part, and not at all, of either direction."""
    client, server = socket.socket(), listener()
    for part in (1000, 400, 0):
        client.connect(server.getsockname())
        other = server.accept()[0]
        send(client, bytes(1009))
        send(other, bytes(503))
        arrives(client, 503)
        arrives(other, 1009)
        if part:
            read(other, part)
            read(client, part // 2)
        disconnect(client)
        drain(other)
        other.close()
    client.close()


def disconnected_after_a_reset() -> None:
    """What had come before the peer's reset is read, and then the socket is used again."""
    client, server = socket.socket(), listener()
    for _ in range(2):
        client.connect(server.getsockname())
        other = server.accept()[0]
        send(other, bytes(307))
        send(client, bytes(11))
        arrives(client, 307)
        arrives(other, 11)
        reset_at_close(other)
        other.close()
        with contextlib.suppress(ConnectionResetError):
            read(client, 100)
        disconnect(client)
    client.close()


def refused_then_sent() -> None:
    with listener() as server:
        closed = server.getsockname()
    for _ in range(3):
        client = socket.socket()
        assert client.connect_ex(closed)
        with contextlib.suppress(BrokenPipeError):
            send(client, b"x")
        client.close()


def refused_then_connected() -> None:
    with listener() as server:
        closed = server.getsockname()
    client, server = socket.socket(), listener()
    assert client.connect_ex(closed)
    with contextlib.suppress(BrokenPipeError):
        send(client, b"x")
    client.connect(server.getsockname())
    other = server.accept()[0]
    send(client, bytes(701))
    client.close()
    drain(other)


def sent_before_it_was_connected() -> None:
    client, server = socket.socket(), listener()
    with contextlib.suppress(BrokenPipeError):
        send(client, b"x")
    client.connect(server.getsockname())
    send(client, bytes(701))
    client.close()
    drain(server.accept()[0])


def corked_and_closed() -> None:
    sender, reader = datagrams()
    send(sender, bytes(101), socket.MSG_MORE)
    send(sender, bytes(11))
    read(reader, 1000)
    send(sender, bytes(101), socket.MSG_MORE)
    sender.close()
    sender, reader = datagrams()
    sender.setsockopt(socket.IPPROTO_UDP, CORK, 1)
    send(sender, bytes(13))
    send(sender, bytes(17))
    sender.setsockopt(socket.IPPROTO_UDP, CORK, 0)
    read(reader, 1000)
    sender.setsockopt(socket.IPPROTO_UDP, CORK, 1)
    send(sender, bytes(19))
    sender.close()


def corked_and_failed() -> None:
    """What would be longer than a datagram can be fails, and takes with it what waited."""
    sender, reader = datagrams()
    send(sender, bytes(60013), socket.MSG_MORE)
    with contextlib.suppress(OSError):
        send(sender, bytes(60013))
    send(sender, bytes(7))
    read(reader, 1000)
    sender.close()


def segments_that_do_not_fit() -> None:
    """UDP_SEGMENT: more segments than a call may have."""
    sender, reader = datagrams()
    sender.setsockopt(socket.IPPROTO_UDP, SEGMENT, 100)
    with contextlib.suppress(OSError):
        send(sender, bytes(65003))
    send(sender, bytes(400))
    for _ in range(4):
        read(reader, 1000)


def urgent() -> None:
    """Read out of the stream, stepped over, and in line."""
    for taken, inline in ((True, False), (False, False), (False, True)):
        client, server = pair()
        server.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, inline)
        send(client, bytes(503))
        send(client, b"!", socket.MSG_OOB)
        select.select([], [], [server])
        if taken:
            read(server, 1, socket.MSG_OOB)
        send(client, bytes(101))
        client.close()
        drain(server)


def peeked_without_a_copy() -> None:
    client, server = pair()
    send(client, bytes(503))
    arrives(server, 503)
    server.recv(307, socket.MSG_PEEK | socket.MSG_TRUNC)
    moved["read"] += libc.recv(server.fileno(), None, 101, socket.MSG_TRUNC)
    client.close()
    drain(server)


def half_of_a_buffer() -> None:
    """Whose second page cannot be written, or read."""
    client, server = pair()
    pages = mmap.mmap(-1, 8192)
    address = ctypes.addressof(ctypes.c_char.from_buffer(pages))
    assert libc.mprotect(ctypes.c_void_p(address + 4096), 4096, 0) == 0
    moved["sent"] += max(0, libc.send(client.fileno(), ctypes.c_void_p(address), 8192, 0))
    send(client, bytes(9001))
    arrives(server, 9001)
    assert libc.recv(server.fileno(), ctypes.c_void_p(address + 4000), 8000, 0) == -1
    client.close()
    drain(server)


def in_the_handshake() -> None:
    """Data with the last packet of the handshake, or (where the machine serves it) with the first."""
    for family in (socket.AF_INET, socket.AF_INET6):
        with listener(family) as server:
            server.setsockopt(socket.IPPROTO_TCP, FASTOPEN, 5)
            for _ in range(3):
                client = socket.socket(family)
                moved["sent"] += client.sendto(bytes(503), MSG_FASTOPEN, server.getsockname())
                other = server.accept()[0]
                read(other, 100)
                send(client, bytes(11))
                client.close()
                drain(other)
                other.close()


def in_the_handshake_of_connect() -> None:
    with listener() as server:
        server.setsockopt(socket.IPPROTO_TCP, FASTOPEN, 5)
        for _ in range(3):
            client = socket.socket()
            client.setsockopt(socket.IPPROTO_TCP, FASTOPEN_CONNECT, 1)
            client.connect(server.getsockname())
            send(client, bytes(701))
            other = server.accept()[0]
            client.close()
            drain(other)


def accepted_when_it_has_sent() -> None:
    """TCP_DEFER_ACCEPT; an IPv6 listener that is asked by IPv4."""
    for asked in ("127.0.0.1", "::1"):
        with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as server:
            server.setsockopt(socket.IPPROTO_TCP, DEFER_ACCEPT, 5)
            client = socket.create_connection((asked, server.getsockname()[1]))
            send(client, bytes(809))
            other = server.accept()[0]
            read(other, 2000)
            send(other, bytes(211))
            other.close()
            drain(client)


def reset_before_it_was_accepted() -> None:
    """What came with the handshake, an urgent byte behind it, is read all the same."""
    for flags in (0, socket.MSG_OOB):
        with listener() as server:
            server.setsockopt(socket.IPPROTO_TCP, DEFER_ACCEPT, 5)
            client = socket.create_connection(server.getsockname())
            send(client, bytes(1009), flags)
            select.select([server], [], [])
            reset_at_close(client)
            client.close()
            drain(server.accept()[0])


def sent_to_a_listener_that_has_no_such_connection() -> None:
    """It answers by a reset; the next connection has the same ports, if nobody else has taken one meanwhile."""
    for _ in range(23):
        try:
            return send_to_a_stranger()
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
    raise AssertionError("each port was taken")


def send_to_a_stranger() -> None:
    client, server = socket.socket(), listener()
    here = server.getsockname()
    client.connect(here)
    other = server.accept()[0]
    # Its end vanishes without a word (TCP_REPAIR).
    other.setsockopt(socket.IPPROTO_TCP, 19, 1)
    other.close()
    server.close()
    with socket.create_server(here) as server:
        from_port = client.getsockname()
        send(client, bytes(503))
        select.select([client], [], [])
        client.close()
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        client.bind(from_port)
        client.connect(here)
        send(client, bytes(101))
        client.close()
        drain(server.accept()[0])


def shut_in_the_middle() -> None:
    client, server = pair()
    send(client, bytes(1009))
    arrives(server, 1009)
    server.shutdown(socket.SHUT_RD)
    drain(server)
    send(client, bytes(101))
    server.close()
    with contextlib.suppress(OSError):
        drain(client)


def pinned_and_reset() -> None:
    client, server = pair()
    client.setsockopt(socket.SOL_SOCKET, SO_ZEROCOPY, 1)
    reset_at_close(client)
    for _ in range(3):
        send(client, bytes(20011), MSG_ZEROCOPY)
    arrives(server, 3 * 20011)
    client.close()
    drain(server)


def pinned_nothing() -> None:
    """An empty send has no notification; a datagram of one call is not mixed."""
    client, server = pair()
    sender, reader = datagrams()
    for sock in (client, sender):
        sock.setsockopt(socket.SOL_SOCKET, SO_ZEROCOPY, 1)
        for size in (0, 503, 0, 1):
            send(sock, bytes(size), MSG_ZEROCOPY)
    for _ in range(4):
        read(reader, 1000)
    client.close()
    drain(server)


def timestamps_with_their_packets() -> None:
    """SO_TIMESTAMPING gives back each packet that was sent, by the error queue."""
    client, server = pair()
    sender, reader = datagrams()
    for sock in (client, sender):
        # By software, when it is handed to the device; linux/net_tstamp.h.
        sock.setsockopt(socket.SOL_SOCKET, 37, 1 << 1 | 1 << 4)
        send(sock, bytes(503))
        # An error queue makes POLLERR, of which select() tells nothing.
        waiting = select.poll()
        waiting.register(sock, 0)
        assert waiting.poll(60_000)
        assert sock.recvmsg(2000, 2000, socket.MSG_ERRQUEUE)[0]
    read(reader, 1000)
    client.close()
    drain(server)


def raw() -> None:
    """Reads what passes, with its headers; all that is sent to others comes to it, too."""
    watcher = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
    sender, reader = datagrams()
    send(sender, bytes(503))
    read(reader, 1000)
    while read(watcher, 2000) != 20 + 8 + 503:
        pass
    for sock in (watcher, socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)):
        sock.close()


PROGRAMS: dict[str, Callable[[], None]] = {
    program.__name__: program
    for program in (
        reset_of_what_has_left, reset_of_what_has_not_left, reset_with_unread_bytes,
        disconnected_and_connected_again, disconnected_after_a_reset, refused_then_sent, refused_then_connected,
        sent_before_it_was_connected, corked_and_closed, corked_and_failed, segments_that_do_not_fit, urgent,
        peeked_without_a_copy, half_of_a_buffer, in_the_handshake, in_the_handshake_of_connect,
        accepted_when_it_has_sent, reset_before_it_was_accepted, sent_to_a_listener_that_has_no_such_connection,
        shut_in_the_middle, pinned_and_reset, pinned_nothing, raw,
        timestamps_with_their_packets,
    )
}  # fmt: skip

if __name__ == "__main__":
    Path("/proc/self/comm").write_text(COMM)
    for name in sys.argv[1:]:
        PROGRAMS[name]()
    print(json.dumps({"sent": moved["sent"], "read": moved["read"]}))
