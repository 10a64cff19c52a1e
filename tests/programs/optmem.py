"""Zero-copy sends that wait behind a closed window until the kernel refuses one: prints what the socket's optmem held.

    python optmem.py

As JSON: the charge before the first send, the zero-copy sends that were accepted, and the charge then.
"""

from __future__ import annotations

import errno
import json
import socket
import struct

MSG_ZEROCOPY = 0x4000000
SO_MEMINFO, OPTMEM = 55, 6
SO_ZEROCOPY = 60
SO_SNDBUFFORCE = 32


def optmem(sock: socket.socket) -> int:
    """sk_omem_alloc."""
    return int(struct.unpack("9I", sock.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 36))[OPTMEM])


def sends_until_refused(sock: socket.socket) -> int:
    """A copied byte between any two, in an skb of its own: else they would share one notification."""
    sends = 0
    while True:
        try:
            sock.send(b"z", MSG_ZEROCOPY | socket.MSG_EOR)
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            return sends
        sends += 1
        sock.send(b"c", socket.MSG_EOR)


def main() -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        sender = socket.create_connection(listener.getsockname())
        receiver, _ = listener.accept()
    sender.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 1 << 22)
    sender.setsockopt(socket.SOL_SOCKET, SO_ZEROCOPY, 1)
    sender.send(bytes(100_000), socket.MSG_EOR)
    before = optmem(sender)
    sends = sends_until_refused(sender)
    print(json.dumps({"before": before, "sends": sends, "after": optmem(sender)}))
    sender.shutdown(socket.SHUT_WR)
    while receiver.recv(65536):
        pass


if __name__ == "__main__":
    main()
