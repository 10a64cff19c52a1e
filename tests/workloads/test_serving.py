"""The receiver for senders on other machines, where it is to verify."""

from __future__ import annotations

import socket

import pytest
from workloads.engine._engine import lib

from tests.command import IN_THE_CLEAR
from tracer.machine.processes import Workers
from tracer.model import Experiment
from workloads.serving import Connection, Server

pytestmark = pytest.mark.system

SIZE, MESSAGES = 10007, 23


def sent_to(server: Server, data: bytes) -> Connection:
    """The connection that this was sent over, ended."""
    with socket.create_connection(("127.0.0.1", server.port)) as sender:
        sender.sendall(data)
    assert server.wait_for(1, 60.0)
    return server.connections[0]


def pattern(size: int) -> bytes:
    return bytes(lib.engine_pattern_byte(0, at) for at in range(size))


def test_a_verifying_sender_s_bytes_are_compared() -> None:
    """Every mode's payload passes that comes in the clear, at any number of messages."""
    for mode in IN_THE_CLEAR:
        with Server("127.0.0.1", 0, verified_size=SIZE) as server:
            job = Experiment(mode=mode, size=SIZE, verify=True)
            with Workers(job, address="127.0.0.1", peer=("127.0.0.1", server.port)) as workers:
                workers.prepare(MESSAGES, None)
                workers.release()
                workers.collect()
            assert server.wait_for(1, 60.0)

            assert (server.connections[0].bytes, server.connections[0].failure) == (MESSAGES * SIZE, None)


def test_a_damaged_byte_is_told_with_its_place() -> None:
    """Message 0, byte 5000; the rest is counted all the same."""
    data = bytearray(pattern(SIZE))
    data[5000] ^= 1
    with Server("127.0.0.1", 0, verified_size=SIZE) as server:
        connection = sent_to(server, bytes(data))

    assert connection.bytes == SIZE
    assert connection.failure is not None
    assert "byte 5000 of message 0" in connection.failure.why


def test_a_server_that_does_not_verify_takes_anything() -> None:
    """It counts."""
    with Server("127.0.0.1", 0) as server:
        connection = sent_to(server, bytes(SIZE))

    assert (connection.bytes, connection.failure) == (SIZE, None)
