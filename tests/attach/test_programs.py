"""Programs that people attach to, in full flow: every socket balances, whatever was under way."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attach.targets import WENT_ON, attached, held, unexcused
from tests.command import ESTABLISHED, LISTENING, ROOT, children, file_server, free_port, has_socket, needs, wait_for
from tracer.books.socket_laws import laws_of
from tracer.model.socket_recording import SocketRecording
from tracer.model.sockets import Socket

pytestmark = pytest.mark.live


@contextlib.contextmanager
def running(*command: object) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def until(pid: int, state: str) -> None:
    """Until it has a socket in this state."""
    wait_for(lambda: has_socket(pid, state), "no such socket")


def watch(directory: Path, most_s: float, *pids: int, excuses: tuple[str, ...] = ()) -> SocketRecording:
    with attached(directory, "-p", *pids, "-d", most_s) as nettrace:
        recording = nettrace.wait()
    assert nettrace.code == 0, nettrace.report
    assert (unexcused(recording, *excuses), recording.lost) == ([], 0), nettrace.report
    assert {"S1", "S2", "R3", "R4"} <= held(recording)
    return recording


@needs("iperf3")
def test_iperf3_in_full_flow_balances(tmp_path: Path) -> None:
    """Both ends, two streams; each socket is exact but for a call that was in progress."""
    port = free_port()
    with running("iperf3", "-s", "-p", port, "-B", "127.0.0.1") as server:
        until(server.pid, LISTENING)
        with running("iperf3", "-c", "127.0.0.1", "-p", port, "-t", 60, "-P", 2, "-l", 10007) as client:
            until(client.pid, ESTABLISHED)
            recording = watch(tmp_path, 1.0, server.pid, client.pid)

    assert recording.totals.sent_bytes > 10007


NGINX = """
worker_processes 2; daemon off; pid {place}/pid; error_log {place}/errors;
events {{ worker_connections 512; }}
http {{ access_log off; sendfile on; server {{ listen 127.0.0.1:{port}; root {place}; }} }}
"""


@needs("nginx", "wrk")
def test_nginx_is_watched_with_its_workers(tmp_path: Path) -> None:
    """The master is named, which has no connection; its workers' files are spliced."""
    port = free_port()
    tmp_path.chmod(0o755)
    (tmp_path / "file").write_bytes(bytes(100_003))
    (tmp_path / "nginx.conf").write_text(NGINX.format(place=tmp_path, port=port) + "user root;\n")
    with running("/usr/sbin/nginx", "-c", tmp_path / "nginx.conf") as master:
        until(master.pid, LISTENING)
        with running("wrk", "-t1", "-c20", "-d60", f"http://127.0.0.1:{port}/file") as client:
            until(client.pid, ESTABLISHED)
            recording = watch(tmp_path, 1.0, master.pid)

    assert recording.totals.sent["splice"].bytes > 100_003
    assert {one.comm for one in recording.sockets if one.sent_bytes} == {"nginx"}
    assert all(socket.accepted for socket in recording.sockets)


@needs("go", "wrk")
def test_a_go_server_in_full_flow_balances(tmp_path: Path) -> None:
    """Its threads share all connections, and its file goes out by sendfile."""
    program, port = file_server(tmp_path), free_port()
    (tmp_path / "files").mkdir()
    (tmp_path / "files/file").write_bytes(bytes(100_003))
    with running(program, port, tmp_path / "files") as server:
        until(server.pid, LISTENING)
        with running("wrk", "-t1", "-c20", "-d60", f"http://127.0.0.1:{port}/file") as client:
            until(client.pid, ESTABLISHED)
            recording = watch(tmp_path, 1.0, server.pid, client.pid)

    assert recording.totals.sent["splice"].bytes > 100_003
    assert recording.totals.read["copy"].bytes > 100_003


@needs("redis-server", "redis-benchmark")
def test_redis_in_full_flow_balances(tmp_path: Path) -> None:
    """Small requests, many connections."""
    port = free_port()
    with running("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "") as server:
        until(server.pid, LISTENING)
        with running("redis-benchmark", "-p", port, "-t", "set", "-n", 100_000_000, "-d", 1009, "-c", 20) as client:
            until(client.pid, ESTABLISHED)
            recording = watch(tmp_path, 1.0, server.pid, client.pid)

    assert recording.totals.sent_bytes > 1009


def test_short_connections_balance_whenever_the_watching_ends(tmp_path: Path) -> None:
    """Sockets are made, used and closed while the programs come off."""
    program = ROOT / "tracer/study/lessons/file_sender.py"
    with running(sys.executable, program, "send", 65536, 1_000_000) as sender:
        # Its connections are too short to be met; the listener of its reader stays.
        wait_for(lambda: any(has_socket(pid, LISTENING) for pid in (sender.pid, *children(sender.pid))), "no listener")
        seen = [watch_but_timers(tmp_path, 0.5, sender.pid) for _ in range(5)]

    # One connection is at work at a time, and one may be closing: their ends alone may have gone on.
    assert all(len(went_on(one)) <= 4 for one in seen)
    assert all(sum(socket.ended for socket in one.sockets) > 10 for one in seen)


def watch_but_timers(directory: Path, most_s: float, pid: int) -> SocketRecording:
    """Whom a timer ends may be lost: its interrupt may come above a task where the kernel runs no tracing program."""
    with attached(directory, "-p", pid, "-d", most_s) as nettrace:
        recording = nettrace.wait()
    assert nettrace.code == (5 if recording.lost else 0), nettrace.report
    assert unexcused(recording, WENT_ON) == [], nettrace.report
    assert recording.lost <= len(ended_by_timers(recording)), nettrace.report
    return recording


def ended_by_timers(recording: SocketRecording) -> list[Socket]:
    """Those that went before the FIN of their other end came, which is not listed: a timer ended it."""
    listed = {(socket.local, socket.peer) for socket in recording.sockets}
    alone = [socket for socket in recording.sockets if (socket.peer, socket.local) not in listed]
    return [socket for socket in alone if socket.ended and socket.tcp is not None and socket.tcp.received == 1]


def went_on(recording: SocketRecording) -> list[Socket]:
    return [socket for socket in recording.sockets if any(law.note == WENT_ON for law in laws_of(socket))]
