"""Sends from one network namespace to another, the second time while a filter there drops all that arrives."""

import ctypes
import os
import socket
import struct
import sys

SENDER, RECEIVER, ADDRESS, SIZE = *sys.argv[1:4], int(sys.argv[4])
LIBC = ctypes.CDLL(None, use_errno=True)


def enter(namespace: str) -> None:
    descriptor = os.open(namespace, os.O_RDONLY)
    assert LIBC.setns(descriptor, 0x40000000) == 0  # CLONE_NEWNET
    os.close(descriptor)


def bpf(command: int, attributes: bytes) -> int:
    descriptor = LIBC.syscall(321, command, attributes, len(attributes))
    assert descriptor >= 0, os.strerror(ctypes.get_errno())
    return int(descriptor)


def drop_all() -> int:
    """A netfilter program of two instructions, r0 = NF_DROP; exit, at LOCAL_IN; it goes with the descriptor."""
    code, text = ctypes.create_string_buffer(struct.pack("<QQ", 0xB7, 0x95)), ctypes.create_string_buffer(b"GPL")
    load = struct.pack("=IIQQ44xI", 32, 2, ctypes.addressof(code), ctypes.addressof(text), 45)
    program = bpf(5, load)
    return bpf(28, struct.pack("=8I", program, 0, 45, 0, socket.AF_INET, 1, 0, 0))


def sent_again(sock: socket.socket) -> int:
    """tcpi_total_retrans of linux/tcp.h."""
    return int(struct.unpack_from("I", sock.getsockopt(socket.SOL_TCP, socket.TCP_INFO, 104), 100)[0])


enter(RECEIVER)
listener = socket.create_server((ADDRESS, 0))
enter(SENDER)
client = socket.create_connection(listener.getsockname())
server = listener.accept()[0]
client.sendall(bytes(SIZE))
server.recv(SIZE, socket.MSG_WAITALL)
enter(RECEIVER)
filter_link = drop_all()
client.sendall(bytes(SIZE))
while not sent_again(client):
    os.sched_yield()
os.close(filter_link)
server.recv(SIZE, socket.MSG_WAITALL)
