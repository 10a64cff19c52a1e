"""Payload that this machine drops is told at the socket that lost it, in its direction."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.command import ROOT, needs
from tests.record.test_ways import record
from tracer.books.socket_laws import laws_of
from tracer.machine.leftovers import NAMESPACES
from tracer.machine.links import open_link
from tracer.model import LawState, Link
from tracer.model.sockets import Socket

pytestmark = pytest.mark.live

SIZE = 5003


def test_what_a_filter_drops_on_arrival_is_dropped_from_what_came(tmp_path: Path) -> None:
    """The packet has its receiver's socket by then (early demux): it had arrived for it, and it has sent nothing."""
    with open_link(Link.VETH) as link:
        places = [NAMESPACES / str(name) for name in (link.sender_netns, link.receiver_netns)]
        arguments = (ROOT / "tests/programs/refused_on_arrival.py", *places, link.address, SIZE)
        recording, _ = record(tmp_path, sys.executable, *arguments)

    sender, reader = sorted(recording.sockets, key=lambda socket: -socket.sent_bytes)
    assert (sender.sent_bytes, reader.read_bytes) == (2 * SIZE, 2 * SIZE)
    assert (sender.dropped_bytes, reader.dropped_bytes) == (0, 0)
    assert reader.dropped_in_bytes == sender.left.bytes - reader.came.bytes > 0


# A network namespace of its own, with an address that can be taken away.
ALONE = 'ip link set lo up; ip address add 10.9.0.1/32 dev lo; ip -6 address add fd09::1/128 dev lo nodad; exec "$@"'
SENDER = """
import contextlib, os, socket, struct, sys
address, before_it_sends, before_it_ends = sys.argv[1:]
with socket.create_server((address, 0), family=socket.AF_INET6 if ":" in address else socket.AF_INET) as server:
    client = socket.create_connection(server.getsockname()[:2])
    other = server.accept()[0]
    client.send(bytes(1009)); other.recv(1009, socket.MSG_WAITALL)
    assert os.system(before_it_sends) == 0
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.setblocking(False)
    with contextlib.suppress(OSError):
        while True:
            client.send(bytes(20011))
    assert os.system(before_it_ends) == 0
"""


def sender_of(directory: Path, *arguments: str) -> Socket:
    """The row of the socket that sends; every law of it holds."""
    program = ("unshare", "--net", "sh", "-c", ALONE, "-", sys.executable, "-c", SENDER, *arguments)
    recording, done = record(directory, *program)
    assert done.returncode == 0, done.stderr
    sender = max(recording.sockets, key=lambda socket: socket.sent_bytes)
    assert {law.state for law in laws_of(sender) if law.id != "S3"} == {LawState.HOLDS}
    return sender


@needs("ip")
@pytest.mark.parametrize("address", ["10.9.0.1", "fd09::1"])
def test_what_finds_no_route_has_not_left_ip(tmp_path: Path, address: str) -> None:
    """TCP counts it as sent, and holds it for another try."""
    taken_away = f"ip {'-6 ' if ':' in address else ''}route del local {address} dev lo table local"
    sender = sender_of(tmp_path, address, taken_away, "true")

    assert (sender.left.bytes, sender.dropped_bytes) == (1009, 0)
    assert sender.tcp is not None
    assert sender.stopped_bytes == sender.tcp.sent - 1009 > 0


@needs("tc")
def test_what_a_queue_refuses_at_once_has_left_ip(tmp_path: Path) -> None:
    """TCP thinks it unsent, and the socket ends before it is sent again."""
    sender = sender_of(tmp_path, "10.9.0.1", "tc qdisc add dev lo root tbf rate 1mbit burst 1600 limit 1600", "true")

    assert sender.tcp is not None
    assert (sender.dropped_bytes or 0) > 0
    assert sender.left.bytes - sender.left.again + sender.tcp.unsent == sender.sent_bytes
