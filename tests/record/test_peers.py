"""The other ends of a program's connections, on this machine: named, and with --peers watched too."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command import free_port
from tests.record.servers import Server
from tests.record.test_ways import broken_laws, record
from tracer.books.later_copies import LaterCopies
from tracer.books.socket_laws import laws_of
from tracer.machine.peers import Ends, find_peers
from tracer.model import LawState
from tracer.model.sockets import Socket

pytestmark = pytest.mark.live

READS = """
import socket, sys
host = sys.argv[1]
s = socket.create_server((host, int(sys.argv[2])), family=socket.AF_INET6 if ':' in host else socket.AF_INET)
print(s.getsockname()[1], flush=True)
while True:
    a, _ = s.accept()
    while a.recv(65536): pass
    a.close()
"""
SENDS = """
import socket, sys
c = socket.create_connection((sys.argv[1], int(sys.argv[2])))
if sys.argv[3] != '0': c.setsockopt(socket.SOL_SOCKET, 60, 1)
for _ in range(23):
    rest = bytes(10007)
    while rest: rest = rest[c.send(rest, int(sys.argv[3])):]
seen = 0
while int(sys.argv[3]) and seen < 23:
    try: _, [(_, _, data)], _, _ = c.recvmsg(1, 256, socket.MSG_ERRQUEUE)
    except BlockingIOError: continue
    seen = int.from_bytes(data[12:16], 'little') + 1
c.shutdown(1); c.recv(1)
"""
BYTES = 23 * 10007


@contextlib.contextmanager
def reader(host: str) -> Iterator[tuple[int, int]]:
    """Somebody who reads and is not watched: its port and pid."""
    process = subprocess.Popen([sys.executable, "-c", READS, host, "0"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline()), process.pid
    finally:
        process.terminate()
        process.wait(30)


def figures(socket: Socket) -> tuple[int, int, list[int]]:
    return socket.sent_bytes, socket.read_bytes, socket.pids


def test_the_reader_is_named_with_its_pid(tmp_path: Path) -> None:
    """By who listens there, when the connection has ended."""
    with reader("127.0.0.1") as (port, pid):
        recording, _ = record(tmp_path, sys.executable, "-c", SENDS, "127.0.0.1", port, 0)

    (socket,) = recording.sockets
    assert (socket.peer_pids, socket.peer_comm, recording.peers) == ([pid], Path(sys.executable).name, [])


def test_a_connection_is_found_by_itself_and_not_by_its_port_alone() -> None:
    """A listener on the same port at another address is not the other end; nobody listens is nobody."""
    with reader("127.0.0.2") as (port, pid):
        here, elsewhere = (
            Ends("tcp", "127.0.0.1:1", f"127.0.0.2:{port}"),
            Ends("tcp", "127.0.0.1:1", f"127.0.0.1:{port}"),
        )
        mapped = Ends("tcp", "[::ffff:127.0.0.1]:1", f"[::ffff:127.0.0.2]:{port}")

        found = find_peers([here, elsewhere, mapped])

    assert {ends: process.pid for ends, process in found.items()} == {here: pid, mapped: pid}


def test_a_name_that_is_no_text_is_a_name() -> None:
    """Names are any bytes, cut off after fifteen."""
    own = Path("/proc/self/comm").read_bytes()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ends = Ends("tcp", "127.0.0.1:1", f"127.0.0.1:{listener.getsockname()[1]}")
        Path("/proc/self/comm").write_bytes(b"caf\xe9")
        found = find_peers([ends])
        Path("/proc/self/comm").write_bytes(own.rstrip(b"\n"))

    assert found[ends] == (os.getpid(), "caf\\xe9")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_server_that_a_command_speaks_with_is_watched_too(tmp_path: Path, host: str) -> None:
    """The same connection from its other end, to the byte; in no total; another connection of it is not there."""
    with reader(host) as (port, pid):
        recording, _ = record(tmp_path, sys.executable, "-c", SENDS, host, port, 0, options=("--peers",))
        subprocess.run([sys.executable, "-c", SENDS, host, str(port), "0"], check=True)

    assert [figures(socket) for socket in recording.peers] == [(0, BYTES, [pid])]
    assert [socket.sent_bytes for socket in recording.sockets] == [BYTES]
    assert (recording.totals.sent_bytes, recording.totals.read_bytes, recording.lost) == (BYTES, 0, 0)
    assert {law.state for socket in recording.peers for law in laws_of(socket)} == {LawState.HOLDS}
    assert broken_laws(recording) == []


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_client_of_a_command_is_watched_too(tmp_path: Path, host: str) -> None:
    """Whoever connects to the command's own port."""
    port = free_port()
    server = Server(tmp_path / "server", port, sys.executable, "-c", READS, host, port, options=("--peers",))
    client = subprocess.Popen([sys.executable, "-c", SENDS, host, str(port), "0"])
    assert client.wait(30) == 0
    recording, _ = server.stop()

    assert [figures(socket) for socket in recording.peers] == [(BYTES, 0, [client.pid])]
    assert (recording.totals.sent_bytes, recording.totals.read_bytes, recording.lost) == (0, BYTES, 0)


@pytest.mark.parametrize(
    ("options", "seen", "source"), [((), None, "the kernel's flag"), (("--peers",), BYTES, "packets")]
)
def test_a_deferred_copy_in_the_reader_is_counted_there_or_told_by_the_flag(
    tmp_path: Path, options: tuple[str, ...], seen: int | None, source: str
) -> None:
    """Watched at both ends: how many bytes; else that they were, labelled as the kernel's flag."""
    with reader("127.0.0.1") as (port, _):
        recording, _ = record(tmp_path, sys.executable, "-c", SENDS, "127.0.0.1", port, 0x4000000, options=options)
    later = LaterCopies(recording).in_all()

    assert recording.totals.sent["zerocopy"].bytes == BYTES
    if recording.hooks.calls != "fexit":
        assert later.source.startswith(source)
        assert later.bytes == (seen and recording.totals.left.zerocopy + recording.totals.left.mixed)
    assert later.note == ("the flag: 23 of 23 sends copied" if later.bytes is None else "")
