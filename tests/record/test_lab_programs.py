"""Real programs under the kernels that people run: both ends in the guest, over its loopback, in one recording."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.command import needs
from tests.record.test_programs import NGINX, sound
from tests.record.test_ways import record
from tracer.model.socket_recording import SocketRecording
from tracer.model.sockets import Socket

pytestmark = [pytest.mark.lab, pytest.mark.timeout(400)]

FILE_BYTES = 1_000_003
PORT = 4711

# A server says itself when it listens: no connection of ours, and no wait, is among what is counted.
PRELUDE = """
set -e
says=$(mktemp -d)/says; mkfifo $says
start() { # PATTERN PROGRAM...: in the background, until a line of its output has PATTERN
  pattern=$1; shift
  "$@" >$says 2>&1 &
  exec 3<$says
  while read -r line <&3; do case $line in *"$pattern"*) return;; esac; done
  exit 1
}
"""


def record_script(directory: Path, kernel: str, script: str) -> tuple[SocketRecording, str]:
    """Record a shell script in the guest, to the end of all that it started; and what it printed."""
    options = ("--lab", kernel, "--wait")
    recording, done = record(directory, "sh", "-c", PRELUDE + script, options=options, most_s=390)
    assert done.returncode == 0, (done.stdout, done.stderr)
    return recording, done.stdout


def rows_of(recording: SocketRecording, *programs: str) -> list[Socket]:
    return [socket for socket in recording.sockets if socket.comm in programs]


def sent_by(recording: SocketRecording, *programs: str) -> Counter[str]:
    moved: Counter[str] = Counter()
    for socket in rows_of(recording, *programs):
        moved.update({way: one.bytes for way, one in socket.sent.items()})
    return moved


def read_by(recording: SocketRecording, *programs: str) -> int:
    return sum(socket.read_bytes or 0 for socket in rows_of(recording, *programs))


def nginx_config(directory: Path, options: str) -> Path:
    """Its access log is the script's output."""
    (directory / "big").write_bytes(bytes(FILE_BYTES))
    config = directory / "config"
    text = NGINX.format(directory=directory, port=PORT, root=directory, options=options)
    text = text.replace("daemon off;", "").replace("'$bytes_sent'", "'nginx $bytes_sent $request_length'")
    config.write_text(text.replace(f"access_log {directory}/access", "access_log /proc/self/fd/1"))
    return config


def logged(said: str) -> tuple[int, int]:
    """Bytes that nginx sent and read, by its access log."""
    lines = [tuple(map(int, line.split()[1:])) for line in said.splitlines() if line.startswith("nginx ")]
    return sum(sent for sent, _ in lines), sum(read for _, read in lines)


@needs("nginx", "curl")
@pytest.mark.parametrize(
    ("kernel", "options", "way"),
    [("6.1", "sendfile on; tcp_nopush on;", "splice"), ("6.12", "sendfile on;", "splice"),
     ("6.12", "sendfile off;", "copy")],
)  # fmt: skip
def test_nginx_and_curl_say_the_same(tmp_path: Path, kernel: str, options: str, way: str) -> None:
    """The access log, curl's own figures and both ends' rows; the file is spliced or copied, the headers are copied."""
    config = nginx_config(tmp_path, options)
    url = f"http://127.0.0.1:{PORT}/big"
    # A daemon whose first process has ended listens.
    recording, said = record_script(tmp_path, kernel, f"""
        nginx -c {config}
        for n in 1 2 3; do
          curl -s -o /dev/null -w 'curl %{{size_header}} %{{size_download}} %{{size_request}}\\n' {url}
        done
        nginx -c {config} -s quit
    """)  # fmt: skip
    curls = [tuple(map(int, line.split()[1:])) for line in said.splitlines() if line.startswith("curl ")]
    headers, bodies, requests = map(sum, zip(*curls, strict=True))

    assert logged(said) == (headers + bodies, requests)
    assert bodies == 3 * FILE_BYTES
    copied = {"copy": headers} if way == "splice" else {"copy": headers + bodies}
    assert sent_by(recording, "nginx") == copied | ({"splice": bodies} if way == "splice" else {})
    assert (sent_by(recording, "curl"), read_by(recording, "nginx")) == ({"copy": requests}, requests)
    assert read_by(recording, "curl") == headers + bodies
    sound(recording)


@needs("nginx", "wrk")
@pytest.mark.parametrize("kernel", ["6.1", "6.12"])
def test_a_connection_a_request(tmp_path: Path, kernel: str) -> None:
    """Hundreds of sockets in a guest that is slow: all balance, none is lost, the access log agrees."""
    config = nginx_config(tmp_path, "sendfile on; keepalive_requests 1;")
    (tmp_path / "small").write_bytes(bytes(4099))
    recording, said = record_script(tmp_path, kernel, f"""
        nginx -c {config}
        wrk -t1 -c8 -d2 http://127.0.0.1:{PORT}/small >/dev/null
        nginx -c {config} -s quit
    """)  # fmt: skip

    assert sum(sent_by(recording, "nginx").values()) == logged(said)[0]
    assert recording.unlisted_sockets == 0
    assert len(rows_of(recording, "nginx")) > 50
    sound(recording)


@needs("iperf3")
@pytest.mark.parametrize(
    ("kernel", "options"),
    [("6.1", "-Z"), ("6.1", "-R"), ("6.12", ""), ("6.12", "-Z"), ("6.12", "-Z -6 -P 2"), ("6.12", "-u -b 0 -l 1009")],
)
def test_iperf3_says_the_same(tmp_path: Path, kernel: str, options: str) -> None:
    """Bytes of the test streams are iperf3's own, on both ends; before them a TCP client sends a cookie of 37 B."""
    host = "::1" if "-6" in options else "127.0.0.1"
    recording, said = record_script(tmp_path, kernel, f"""
        start listening iperf3 -s -1 -p {PORT} --forceflush
        iperf3 -c {host} -p {PORT} -n 3000007 -J {options}
    """)  # fmt: skip
    kind = "udp" if "-u" in options else "tcp"
    told = [one["udp" if kind == "udp" else "sender"]["bytes"] for one in json.loads(said)["end"]["streams"]]
    senders = [one for one in recording.sockets if one.protocol == kind and one.sent_bytes > 100_000]

    assert len(senders) == len(told)
    way = "splice" if "-Z" in options else "copy"
    assert sum(one.sent[way].bytes for one in senders) - sum(told) in beside(kind, options, len(told))
    if way == "splice":
        assert sum(one.sent["copy"].bytes for one in senders) == 37 * len(told)
    sound(recording)


def beside(kind: str, options: str, streams: int) -> tuple[int, ...]:
    """What a stream sends besides the test: the cookie, of the client; a UDP stream's first word, of the client."""
    if kind == "udp":
        return (4 * streams,)
    return (0,) if "-R" in options or "-Z" in options else (37 * streams,)


@needs("redis-server", "redis-benchmark")
@pytest.mark.parametrize("kernel", ["6.1", "6.12"])
def test_redis_counts_the_same(tmp_path: Path, kernel: str) -> None:
    """The server's own statistics of bytes in and out; its answer to that question is not in them yet."""
    recording, said = record_script(tmp_path, kernel, f"""
        start Ready redis-server --port {PORT} --save '' --dir {tmp_path}
        redis-benchmark -p {PORT} -t set,get -n 203 -c 5 -d 1009 -q >/dev/null
        redis-cli -p {PORT} info stats
        kill $!
    """)  # fmt: skip
    read, sent = (int(re.search(rf"total_net_{way}_bytes:(\d+)", said)[1]) for way in ("input", "output"))
    answer = said.replace("\n", "\r\n")  # read as text

    server, clients = "redis-server", ("redis-benchmark", "redis-cli")
    assert read > 203 * 1009
    assert read_by(recording, server) == read
    assert sent_by(recording, *clients) == {"copy": read}
    assert sent_by(recording, server) == {"copy": sent + len(f"${len(answer)}\r\n{answer}\r\n")}
    assert read_by(recording, *clients) == sent_by(recording, server)["copy"]
    sound(recording)
