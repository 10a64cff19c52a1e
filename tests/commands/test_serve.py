"""The receiver of --link nic --peer: between two namespaces of our own, as between two machines."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence

import pytest

from tests.command import NETTRACE, ROOT, document, said, wait_for
from tracer.machine.links import PREFIX_LENGTH, RECEIVER_ADDRESS, SENDER_ADDRESS, OpenLink, open_link
from tracer.model import Link
from workloads.serving import Server

pytestmark = pytest.mark.system

SIZE, MESSAGES = 10007, 23
# Each takes a process of 0.3 s; by hand with 500.
SIGNALS = int(os.environ.get("NETTRACE_SIGNALS", "25"))


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
        code, _, errors = said("serve", "--bind", "127.0.0.1", "--port", taken.getsockname()[1])

    assert code == 4
    assert "fix:" in errors


@pytest.fixture
def two_machines() -> Iterator[OpenLink]:
    """Two namespaces with a veth pair between them; each is a machine to the other."""
    with open_link(Link.VETH) as link:
        yield link


def serving(*options: object, before: Sequence[str] = ()) -> tuple[subprocess.Popen[str], int]:
    """A `nettrace serve` that listens, and its port."""
    process = subprocess.Popen(
        [*before, *NETTRACE, "serve", "--port", "0", *map(str, options)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    assert process.stdout is not None
    return process, int(process.stdout.readline().rpartition(":")[2])


def inside(netns: str | None) -> list[str]:
    return ["nsenter", f"--net=/run/netns/{netns}"]


@pytest.mark.live
@pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need CAP_SYS_ADMIN")
@pytest.mark.parametrize("threads", [1, 3])
def test_two_namespaces_are_two_machines(two_machines: OpenLink, threads: int) -> None:
    """The sender's side is located to the byte; --once hears both passes to their end, and ends by itself."""
    process, port = serving("--once", before=inside(two_machines.receiver_netns))
    try:
        found = document(
            "onecopy", "--size", SIZE, "--messages", MESSAGES, "--threads", threads, "--link", "nic",
            "--peer", f"{RECEIVER_ADDRESS}:{port}", "--observer", "tracepoints",
            before=inside(two_machines.sender_netns),
        )  # fmt: skip
    finally:
        output, errors = process.communicate(timeout=240)

    assert found["observed"]["payload_bytes"] == SIZE * MESSAGES * threads
    assert found["observed"]["received_bytes"] is None
    assert {law["id"]: law["state"] for law in found["ledger"]["laws"]}["R.S2"] == "holds"
    told = [line.split(" sent ")[1] for line in output.splitlines()]
    assert told == [f"{SIZE * MESSAGES} bytes"] * threads * (1 + found["attempts"])
    assert (process.returncode, errors) == (0, "")


def put_on_top(netns: str | None, device: str) -> None:
    """Have a bridge above the device of a namespace, and give it the address."""
    commands = (
        f"ip address flush dev {device}", "ip link add br0 type bridge", f"ip link set {device} master br0",
        f"ip address add {SENDER_ADDRESS}/{PREFIX_LENGTH} dev br0", "ip link set br0 up",
    )  # fmt: skip
    for command in commands:
        subprocess.run([*inside(netns), *command.split()], check=True, capture_output=True, text=True)


@pytest.mark.live
@pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need CAP_SYS_ADMIN")
def test_a_packet_that_a_bridge_hands_on_is_counted_once(two_machines: OpenLink) -> None:
    """At the device that is below: containers, VLANs and bonds send over two."""
    put_on_top(two_machines.sender_netns, two_machines.device)
    process, port = serving("--once", before=inside(two_machines.receiver_netns))
    try:
        found = document(
            "zerocopy", "--size", SIZE, "--messages", MESSAGES, "--link", "nic", "--peer", f"{RECEIVER_ADDRESS}:{port}",
            "--observer", "tracepoints", before=inside(two_machines.sender_netns),
        )  # fmt: skip
    finally:
        process.communicate(timeout=240)

    laws = {law["id"]: (law["state"], law["left"], law["right"]) for law in found["ledger"]["laws"]}
    assert laws["T.L3"][0] == "holds"
    assert laws["T.L3"][1] >= SIZE * MESSAGES
    assert found["ledger"]["trustworthy"]


@pytest.mark.live
@pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need CAP_SYS_ADMIN")
def test_once_hears_a_profiled_pass_too(two_machines: OpenLink) -> None:
    """Once is one run, however many passes it has."""
    process, port = serving("--once", before=inside(two_machines.receiver_netns))
    try:
        found = document(
            "onecopy", "--size", SIZE, "--messages", MESSAGES, "--link", "nic", "--peer", f"{RECEIVER_ADDRESS}:{port}",
            "--observer", "tracepoints", "--profile", before=inside(two_machines.sender_netns),
        )  # fmt: skip
    finally:
        output, _ = process.communicate(timeout=240)

    assert found["complete"] is True
    assert output.count(f" sent {SIZE * MESSAGES} bytes\n") == 2 + found["attempts"]


def test_once_ends_with_the_last_connection() -> None:
    """For scripts: whoever sends, when no connection is open any more it is over."""
    process, port = serving("--bind", "127.0.0.1", "--once")
    with (
        socket.create_connection(("127.0.0.1", port)),
        socket.create_connection(("127.0.0.1", port)) as sender,
    ):
        sender.sendall(bytes(SIZE))
        sender.shutdown(socket.SHUT_WR)
        assert process.stdout is not None
        told = process.stdout.readline()
        assert process.poll() is None  # the first connection is open still
    output, _ = process.communicate(timeout=240)

    assert f"sent {SIZE} bytes" in told
    assert output == ""  # nothing came by the other one, and nothing is said of it
    assert process.returncode == 0


def test_the_last_of_many_is_known_though_each_ends_in_its_own_thread() -> None:
    """Told one at a time, each after it has ended: at the last one none is open."""
    open_ones = []
    with Server("127.0.0.1", 0, lambda _: open_ones.append(not server.all_ended)) as server:
        senders = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(32)]
        for sender in senders:
            sender.sendall(b"x")
        wait_for(lambda: len(server.connections) == 32, "not all are accepted")
        for sender in senders:
            sender.close()
        assert server.wait_for(32, 20.0)

    assert len(open_ones) == 32
    assert open_ones[-1] is False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_always_ends_it(number: int) -> None:
    """Again and again: a lock taken by the handler while main held it was a deadlock, some of the time."""
    codes = []
    for _ in range(SIGNALS):
        process, _ = serving("--bind", "127.0.0.1")
        process.send_signal(number)
        process.communicate(timeout=240)
        codes.append(process.returncode)

    assert codes == [0] * SIGNALS


def test_a_signal_ends_it_while_somebody_sends() -> None:
    """What is open is closed."""
    process, port = serving("--bind", "127.0.0.1")
    with socket.create_connection(("127.0.0.1", port)) as sender:
        sender.sendall(bytes(SIZE))
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=240)

    assert (process.returncode, errors) == (0, "")
    assert output.count(" sent ") <= 1


def test_it_ends_when_nobody_reads_what_it_tells() -> None:
    """`nettrace serve | head -1`."""
    process, port = serving("--bind", "127.0.0.1")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    with socket.create_connection(("127.0.0.1", port)) as sender:
        sender.sendall(bytes(SIZE))
    errors = process.stderr.read()

    assert (process.wait(30), errors) == (0, "")
    process.stderr.close()
