"""Real programs, unchanged: what nettrace says is what they say themselves, all books balance, nothing is lost."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import free_port, needs, said, wait_for
from tests.record.servers import FILE_BYTES, Server, fetch, listens, serving
from tests.record.test_ways import broken_laws, record
from tracer.books.socket_file import decode_sockets
from tracer.model.socket_recording import SocketRecording
from tracer.observers import sockets

pytestmark = pytest.mark.live


def sound(recording: SocketRecording) -> None:
    """All books balance, nothing was lost, no way is unknown."""
    assert broken_laws(recording) == []
    assert recording.lost == 0
    assert "unknown" not in recording.totals.sent


def sent(recording: SocketRecording) -> dict[str, int]:
    return {way: moved.bytes for way, moved in recording.totals.sent.items()}


@needs("curl")
def test_curl_reads_the_file_and_its_headers(tmp_path: Path, big: Path) -> None:
    """curl's own figures: size of header and body, and of the request."""
    port = free_port()
    command = (sys.executable, "-m", "http.server", port, "-b", "127.0.0.1", "-d", big.parent)
    server = Server(tmp_path / "server", port, *command)
    recording, done = record(
        tmp_path, "curl", "-s", "-o", "/dev/null", "-w", "%{size_header} %{size_download} %{size_request}",
        f"http://127.0.0.1:{port}/big",
    )  # fmt: skip
    header, body, request = map(int, done.stdout.split())
    served, _ = server.stop(signal.SIGINT)

    assert (recording.totals.read["copy"].bytes, sent(recording)) == (header + body, {"copy": request})
    assert (sent(served), served.totals.read["copy"].bytes) == ({"copy": header + body}, request)
    sound(recording)
    sound(served)


@needs("iperf3")
@pytest.mark.parametrize(
    "options", [(), ("-Z",), ("-u", "-b", "0", "-l", "1009"), ("-6",), ("-R",), ("-P", "4")], ids=" ".join
)
def test_iperf3_says_the_same(tmp_path: Path, options: tuple[str, ...]) -> None:
    """Bytes of the test streams are iperf3's own; -Z is sendfile, and is spliced."""
    port, host = free_port(), "::1" if "-6" in options else "127.0.0.1"
    server = Server(tmp_path / "server", port, "iperf3", "-s", "-1", "-p", port)
    recording, done = record(tmp_path, "iperf3", "-c", host, "-p", port, "-n", "30000007", "-J", *options)
    server.process.wait(60)
    served = decode_sockets(server.file.read_bytes(), "server")

    said = json.loads(done.stdout)["end"]
    sender = served if "-R" in options else recording
    way = "splice" if "-Z" in options else "copy"
    protocol = "udp" if "-u" in options else "tcp"
    streams = [one for one in sender.sockets if one.sent_bytes > 100_000 and one.protocol == protocol]
    told = sum(one["udp" if protocol == "udp" else "sender"]["bytes"] for one in said["streams"])
    assert sum(one.sent_bytes for one in streams) - told == beside(protocol, " ".join(options), len(streams))
    assert all(way in one.sent for one in streams)
    sound(recording)
    sound(served)


def beside(protocol: str, options: str, streams: int) -> int:
    """Bytes that streams send besides the test: a cookie each, of a TCP client; a first word, of a UDP one."""
    if protocol == "udp":
        return 4 * streams
    return 0 if "-R" in options else 37 * streams


NGINX = """
user root; daemon off; worker_processes 2; pid {directory}/pid; error_log {directory}/error;
events {{ worker_connections 512; }}
http {{
  log_format bytes '$bytes_sent'; access_log {directory}/access bytes;
  client_body_temp_path {directory}/a; proxy_temp_path {directory}/b; fastcgi_temp_path {directory}/c;
  uwsgi_temp_path {directory}/d; scgi_temp_path {directory}/e;
  {options}
  server {{ listen 127.0.0.1:{port}; root {root}; }}
}}
"""


def nginx(directory: Path, port: int, root: Path, options: str) -> Server:
    work = directory / "nginx"
    work.mkdir()
    work.chmod(0o777)
    config = work / "config"
    config.write_text(NGINX.format(directory=work, port=port, root=root, options=options))
    return Server(directory / "server", port, "/usr/sbin/nginx", "-c", config, "-e", work / "error")


@needs("nginx")
@pytest.mark.parametrize(
    ("options", "way"),
    [("sendfile off;", "copy"), ("sendfile on;", "splice"), ("sendfile on; tcp_nopush on;", "splice")],
)
def test_nginx_says_the_same_as_its_access_log(tmp_path: Path, big: Path, options: str, way: str) -> None:
    """Three fetches: sendfile splices the file and copies the headers; without it all is copied."""
    port = free_port()
    server = nginx(tmp_path, port, big.parent, options)
    assert [fetch(port) for _ in range(3)] == [FILE_BYTES] * 3
    recording, report = server.stop(signal.SIGQUIT)

    logged = sum(map(int, (tmp_path / "nginx/access").read_text().split()))
    found = sent(recording)
    assert sum(found.values()) == logged
    assert found[way] >= 3 * FILE_BYTES
    assert ("spliced" in report) == (way == "splice")
    sound(recording)


@needs("nginx", "wrk")
def test_thousands_of_connections_to_nginx(tmp_path: Path, big: Path) -> None:
    """A connection a request: thousands of sockets, each balances, none is lost, and the access log agrees."""
    (big.parent / "small").write_bytes(bytes(4099))
    port = free_port()
    server = nginx(tmp_path, port, big.parent, "sendfile on; keepalive_requests 1;")
    subprocess.run(
        ["wrk", "-t1", "-c8", "-d2", f"http://127.0.0.1:{port}/small"], capture_output=True, check=True, timeout=240
    )
    recording, _ = server.stop(signal.SIGQUIT)

    logged = sum(map(int, (tmp_path / "nginx/access").read_text().split()))
    assert sum(sent(recording).values()) == logged
    assert len(recording.sockets) + recording.unlisted_sockets > 500
    sound(recording)


@needs("redis-server", "redis-benchmark")
def test_redis_and_its_benchmark_agree(tmp_path: Path) -> None:
    """What the server reads the client has sent, and the other way round; both from their own recordings."""
    port = free_port()
    server = Server(tmp_path / "server", port, "redis-server", "--port", port, "--save", "", "--dir", tmp_path)
    client, done = record(tmp_path, "redis-benchmark", "-p", port, "-t", "set,get", "-n", "2003", "-d", "1009", "-q")
    served, _ = server.stop()

    assert done.returncode == 0
    assert served.totals.read["copy"].bytes == client.totals.sent["copy"].bytes > 2003 * 1009
    assert served.totals.sent["copy"].bytes == client.totals.read["copy"].bytes > 2003 * 1009
    sound(client)
    sound(served)


RSYNC = "use chroot = no\nuid = 0\ngid = 0\n[www]\npath = {root}\nread only = yes\n"


@needs("rsync")
def test_an_rsync_daemon_serves_a_file(tmp_path: Path, big: Path) -> None:
    """The daemon's children are watched as well: what it sends is what the client says it received."""
    port = free_port()
    config = tmp_path / "rsyncd.conf"
    config.write_text(RSYNC.format(root=big.parent))
    server = Server(
        tmp_path / "server", port, "rsync", "--daemon", "--no-detach", f"--port={port}", "--address=127.0.0.1",
        f"--config={config}",
    )  # fmt: skip
    client, done = record(tmp_path, "rsync", "--stats", f"rsync://127.0.0.1:{port}/www/big", tmp_path / "copy")
    served, _ = server.stop()

    assert (tmp_path / "copy").stat().st_size == FILE_BYTES
    assert 0 < client.totals.read["copy"].bytes - received_by_rsync(done.stdout) < 256
    assert served.totals.sent["copy"].bytes == client.totals.read["copy"].bytes > FILE_BYTES
    sound(client)
    sound(served)


def received_by_rsync(said: str) -> int:
    """Bytes from behind its greeting on: two lines with versions and digests, and the module's name."""
    return int(re.search(r"Total bytes received: ([\d,]+)", said)[1].replace(",", ""))


HAPROXY = """
global
  maxconn 50
defaults
  mode tcp
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  option splice-response
listen one
  bind 127.0.0.1:{front}
  server s 127.0.0.1:{behind}
"""


@needs("haproxy")
def test_haproxy_splices_what_it_forwards(tmp_path: Path, big: Path) -> None:
    """A proxy with splice: what it reads by splice it sends by splice, and nothing of that is copied."""
    behind, front = free_port(), free_port()
    config = tmp_path / "haproxy.cfg"
    config.write_text(HAPROXY.format(front=front, behind=behind))
    with serving(sys.executable, "-m", "http.server", behind, "-b", "127.0.0.1", "-d", big.parent):
        wait_for(lambda: listens(behind), "it does not listen")
        server = Server(tmp_path / "server", front, "/usr/sbin/haproxy", "-db", "-f", config)
        assert fetch(front) == FILE_BYTES
        recording, _ = server.stop(signal.SIGUSR1)

    found, read = sent(recording), {way: moved.bytes for way, moved in recording.totals.read.items()}
    assert found["splice"] == read["splice"] > FILE_BYTES // 2
    assert sum(found.values()) == sum(number for way, number in read.items() if way != "peek") > FILE_BYTES
    sound(recording)


TWO_WAYS = """
import fcntl, os, socket, struct, threading
s = socket.create_server(('127.0.0.1', 0)); c = socket.create_connection(s.getsockname()); a, _ = s.accept()
c.setsockopt(socket.SOL_SOCKET, 60, 1)
def read():
    while a.recv(65536): pass
def send(flags):
    for _ in range(101):
        rest = bytes(10007)
        while rest: rest = rest[c.send(rest, flags):]
reader = threading.Thread(target=read); reader.start()
threads = [threading.Thread(target=send, args=(flags,)) for flags in (0, 0x4000000)]
[t.start() for t in threads]; [t.join() for t in threads]
# Notifications come with the acknowledgements, and none for a socket that is closed (SIOCOUTQ, tcp(7)).
while struct.unpack('i', fcntl.ioctl(c, 0x5411, bytes(4)))[0]: os.sched_yield()
c.shutdown(1); reader.join()
"""


def test_two_threads_send_on_one_socket_in_different_ways(tmp_path: Path) -> None:
    """Each call is told by its own flags, whoever else is sending; an error queue that nobody reads is seen too."""
    recording, _ = record(tmp_path, sys.executable, "-c", TWO_WAYS)

    assert sent(recording) == {"copy": 101 * 10007, "zerocopy": 101 * 10007}
    found = recording.totals.completions
    assert found is not None
    assert (found.total, found.reaped) == (101, 0)
    sound(recording)


SHORT = """
import socket, sys
s = socket.create_server(('127.0.0.1', 0), backlog=64)
for _ in range(int(sys.argv[1])):
    c = socket.create_connection(s.getsockname()); a, _ = s.accept()
    c.sendall(b'1234567'); a.recv(7); c.close(); a.close()
"""


def test_every_one_of_many_short_connections_is_counted(tmp_path: Path) -> None:
    """3,001 connections: 6,002 rows, none lost, all ended; the totals are the sum of the rows."""
    recording, _ = record(tmp_path, sys.executable, "-c", SHORT, 3001)

    assert len(recording.sockets) == 6002
    assert sent(recording) == {"copy": 3001 * 7}
    assert recording.totals.read["copy"].bytes == 3001 * 7
    sound(recording)


SLOW = """
import socket, select
s = socket.create_server(('127.0.0.1', 0)); c = socket.create_connection(s.getsockname()); a, _ = s.accept()
for _ in range(9):
    c.sendall(bytes(10007)); a.recv(10007, socket.MSG_WAITALL); select.select([], [], [], 0.1)
"""


def test_samples_show_the_bytes_of_sockets_that_still_live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One each so often, rising, never more than in the end."""
    monkeypatch.setattr(sockets, "_SAMPLE_S", 0.02)
    code, _, errors = said("record", "-o", tmp_path / "recording", "--", sys.executable, "-c", SLOW)
    recording = decode_sockets((tmp_path / "recording").read_bytes(), "recording")

    assert code == 0, errors
    sent_until = [sample.sent["copy"] for sample in recording.samples if sample.sent]
    assert len(sent_until) >= 2
    assert sent_until == sorted(sent_until)
    assert 0 < sent_until[0] <= sent_until[-1] <= 9 * 10007
