"""Uncommon things that programs do with sockets are no fault of anybody: their books balance like all others."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.command import needs
from tests.programs import legal
from tests.record.test_ways import record
from tracer.books.socket_laws import laws_of
from tracer.model import LawState
from tracer.model.socket_recording import SocketRecording
from tracer.model.sockets import SocketLaw

pytestmark = pytest.mark.live

# A network namespace of its own, whose listeners take payload with the first packet.
SCRIPT = 'ip link set lo up; echo 3 >/proc/sys/net/ipv4/tcp_fastopen; exec "$@"'
WITH_FAST_OPEN = ("unshare", "--net", "sh", "-c", SCRIPT, "-")


def test_the_books_balance(tmp_path: Path) -> None:
    """All of them, one after the other, in one process: what it counted, to the byte; no law is broken, none lost."""
    recording, done = record(tmp_path, sys.executable, legal.__file__, *legal.PROGRAMS)

    agrees(recording, done.stdout)


@needs("ip")
@pytest.mark.parametrize("name", ["in_the_handshake", "in_the_handshake_of_connect"])
def test_payload_of_the_first_packet_is_its_sockets(tmp_path: Path, name: str) -> None:
    """TCP Fast Open: IP hands it to the listener; it came for the socket that is made of it."""
    recording, done = record(tmp_path, *WITH_FAST_OPEN, sys.executable, legal.__file__, name)

    agrees(recording, done.stdout)
    assert not any(socket.peer.endswith(":0") for socket in recording.sockets)


def agrees(recording: SocketRecording, said: str) -> None:
    """With what the program printed; of the read that ended with EFAULT alone it is not known what was copied."""
    counted = json.loads(said)
    assert sum(socket.sent_bytes for socket in recording.sockets) == counted["sent"]
    assert sum(socket.read_bytes for socket in recording.sockets) == counted["read"]
    assert recording.lost == dropped(recording) == 0
    assert [law for law in unheld(recording) if law.id != "R4"] == []
    assert [law.state for law in unheld(recording)] == [LawState.UNKNOWN] * sum(
        socket.faulted for socket in recording.sockets
    )


def unheld(recording: SocketRecording) -> Iterable[SocketLaw]:
    laws = [law for socket in recording.sockets for law in laws_of(socket)]
    return [law for law in laws if law.state is not LawState.HOLDS]


def dropped(recording: SocketRecording) -> int:
    """Bytes. Of what these have thrown away themselves, nothing; a full queue of TCP's may drop what comes again."""
    sockets = [socket for socket in recording.sockets if socket.protocol == "udp" or socket.connections > 1]
    return sum((socket.dropped_bytes or 0) + (socket.dropped_in_bytes or 0) for socket in sockets)
