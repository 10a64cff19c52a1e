"""The receiver of --link nic --peer: between two namespaces of our own, as between two machines."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.command import NETTRACE, ROOT, document, nettrace
from tracer.machine.links import RECEIVER_ADDRESS, OpenLink, open_link
from tracer.model import Link
from workloads.serving import Server

SIZE, MESSAGES = 10007, 23


def test_it_counts_every_connection_to_the_byte():
    """Any number of connections at once; the counts are final when they have ended."""
    with Server("127.0.0.1", 0) as server:
        senders = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(3)]
        for number, sender in enumerate(senders, 1):
            sender.sendall(bytes(10007 * number))
            sender.close()

        assert server.wait_for(3, 20.0)
        assert sorted(connection.bytes for connection in server.connections) == [10007, 20014, 30021]


def test_it_ends_although_a_sender_does_not():
    """Leaving the block closes what is still open."""
    with Server("127.0.0.1", 0) as server:
        sender = socket.create_connection(("127.0.0.1", server.port), timeout=10)
        sender.sendall(b"x")
    try:
        closed = sender.recv(1)
    except ConnectionResetError:  # it had not been accepted yet
        closed = b""

    assert closed == b""


def test_a_port_that_is_taken_is_told_with_a_fix():
    """Three lines, exit code 4."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = nettrace("serve", "--bind", "127.0.0.1", "--port", taken.getsockname()[1])

    assert done.returncode == 4
    assert "fix:" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--link", "nic"], "--peer HOST:PORT"),
        (["--no-sg"], "--link nic --no-sg"),
        (["--peer", "192.0.2.1:7700"], "--link nic --peer"),
        (["--bounce"], "--bounce --lab"),
        (["--lab", "5.4"], "6.12"),
    ],
)
def test_what_only_another_link_or_machine_can_do_is_a_usage_error(arguments, word):
    """Told before anything is done, with what to write instead."""
    done = nettrace("run", "zerocopy", *arguments)

    assert done.returncode == 2
    assert word in done.stderr


@pytest.fixture
def two_machines() -> Iterator[OpenLink]:
    """Two namespaces with a veth pair between them; each is a machine to the other."""
    with open_link(Link.VETH) as link:
        yield link


@pytest.mark.live
@pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need CAP_SYS_ADMIN")
def test_two_namespaces_are_two_machines(two_machines: OpenLink) -> None:
    """The sender's side is located to the byte; the receiver tells what came; both passes are 230161 B."""
    receiver, sender = (
        ["nsenter", f"--net=/run/netns/{name}"] for name in (two_machines.receiver_netns, two_machines.sender_netns)
    )
    serving = subprocess.Popen(
        [*receiver, *NETTRACE, "serve", "--port", "0"], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert serving.stdout is not None
    try:
        port = serving.stdout.readline().rpartition(":")[2].strip()
        found = document(
            "onecopy", "--size", SIZE, "--messages", MESSAGES, "--link", "nic",
            "--peer", f"{RECEIVER_ADDRESS}:{port}", "--observer", "tracepoints", before=sender,
        )  # fmt: skip
        came = [serving.stdout.readline() for _ in range(2)]
    finally:
        serving.send_signal(signal.SIGTERM)
        serving.wait(20)

    assert found["observed"]["payload_bytes"] == SIZE * MESSAGES
    assert found["observed"]["received_bytes"] is None
    assert {law["id"]: law["state"] for law in found["ledger"]["laws"]}["T.L2"] == "holds"
    assert [line.split(" sent ")[1] for line in came] == [f"{SIZE * MESSAGES} bytes\n"] * 2
    assert serving.returncode == 0


@pytest.mark.live
def test_once_ends_with_the_last_connection() -> None:
    """For scripts: one run of a sender, and it is over."""
    serving = subprocess.Popen(
        [sys.executable, "-m", "tracer", "serve", "--port", "0", "--bind", "127.0.0.1", "--once"],
        stdout=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    assert serving.stdout is not None
    port = int(serving.stdout.readline().rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as sender:
        sender.sendall(bytes(SIZE))
    out, _ = serving.communicate(timeout=30)

    assert f"sent {SIZE} bytes" in out
    assert serving.returncode == 0
