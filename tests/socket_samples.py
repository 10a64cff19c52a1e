"""Sockets and recordings of them made of literal numbers, for the pure tests."""

from __future__ import annotations

from typing import Any

import msgspec

from tests.samples import changed, looped
from tracer.model import SCHEMA, Recording
from tracer.model.socket_recording import SocketRecording
from tracer.model.sockets import Packets, Socket, TcpState, Totals, Transfer
from tracer.model.watching import BY_ENGINE, Hooks, Subject, Window


def sender(**changes: Any) -> Socket:
    """A TCP socket that sent 10007 B and closed: its SYN and FIN are acknowledged."""
    socket = Socket(
        cookie=1, family="inet", protocol="tcp", local="127.0.0.1:40000", peer="127.0.0.1:80", pids=[7], comm="curl",
        ended=True, sent={"copy": Transfer(calls=1, bytes=10007)}, left=Packets(copied=10007, packets=1, fragments=1),
        consumed_bytes=0, dropped_bytes=0, tcp=TcpState(sent=10007, acked=10009),
    )  # fmt: skip
    return msgspec.structs.replace(socket, **changes)


def reader(**changes: Any) -> Socket:
    """A TCP socket that read 10007 B and a FIN."""
    socket = Socket(
        cookie=2, family="inet", protocol="tcp", local="127.0.0.1:80", peer="127.0.0.1:40000", pids=[8], comm="nginx",
        ended=True, accepted=True, read={"copy": Transfer(calls=1, bytes=10007)},
        came=Packets(copied=10007, packets=1, fragments=1),
        consumed_bytes=10008, copied_out_bytes=10007, dropped_bytes=0, tcp=TcpState(received=10008, acked=1),
    )  # fmt: skip
    return msgspec.structs.replace(socket, **changes)


def recording(*sockets: Socket, totals: Totals | None = None, **changes: Any) -> SocketRecording:
    found = SocketRecording(
        schema=SCHEMA, kernel="6.12",
        subject=Subject(kind="command", argv=["/usr/bin/curl", "x"], pids=[7], exit_status=0, user=0),
        window=Window(started="2026-01-01T00:00:00", elapsed_s=1.0),
        hooks=Hooks(calls="fexit", attached=[], refused={}, row_bytes=616),
        sockets=list(sockets), totals=totals or Totals(), unlisted_sockets=0, lost=0,
    )  # fmt: skip
    return msgspec.structs.replace(found, **changes)


def run_with(*sockets: Socket, calls: str = BY_ENGINE) -> Recording:
    """A run of ours whose sockets are these."""
    sent = {way: moved for socket in sockets for way, moved in socket.sent.items()}
    return changed(
        looped(), sockets=list(sockets), hooks=Hooks(calls=calls, attached=[], refused={}, row_bytes=696),
        totals=Totals(sent=sent), lost=0, window=Window(started="2026-01-01T00:00:00", elapsed_s=0.5),
    )  # fmt: skip
