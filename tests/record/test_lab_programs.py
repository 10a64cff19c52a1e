"""Real programs under the kernels that people run: both ends in the guest, over its loopback.

One guest a kernel runs them one after the other, each on a port of its own, by which its rows are told apart.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from itertools import count
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from tests.command import needs
from tests.record.test_programs import NGINX, beside, sound
from tests.record.test_ways import record
from tracer.model.socket_recording import SocketRecording
from tracer.model.sockets import Socket

pytestmark = [
    pytest.mark.lab, pytest.mark.timeout(600),
    needs("nginx", "curl", "iperf3", "redis-server", "redis-benchmark"),
]  # fmt: skip

FILE_BYTES = 1_000_003
FIRST_PORT = 4711

# A server says itself when it listens: no connection of ours, and no wait, is among what is counted.
PRELUDE = """
set -e
start() { # PATTERN PROGRAM...: in the background, until a line of its output has PATTERN
  pattern=$1; shift
  says=$(mktemp -d)/says; mkfifo $says
  "$@" >$says 2>&1 &
  exec 3<$says
  while read -r line <&3; do case $line in *"$pattern"*) return;; esac; done
  exit 1
}
"""
# Between the outputs of two parts; what nginx logs has its port at the front, and may come later.
MARK = "#### "

NGINX_CASES = [
    ("6.1", "sendfile on; tcp_nopush on;", "splice"),
    ("6.12", "sendfile on;", "splice"),
    ("6.12", "sendfile off;", "copy"),
]
CONNECTIONS = 103
A_CONNECTION_A_REQUEST = "sendfile on; keepalive_requests 1;"
IPERF3_CASES = [
    ("6.1", "-Z"), ("6.1", "-R"), ("6.12", ""), ("6.12", "-Z"), ("6.12", "-Z -6 -P 2"), ("6.12", "-u -b 0 -l 1009"),
]  # fmt: skip
KERNELS = ["6.1", "6.12"]


class Part(NamedTuple):
    """What one program did.

    Args:
        recording: Of all, with the rows of this part alone.
        said: What it printed.
        logged: Bytes that nginx sent and read, by its access log.
    """

    recording: SocketRecording
    said: str
    logged: tuple[int, int]


Script = Callable[[Path, int], str]
Recorded = Callable[[str, str], Part]


def scripts(kernel: str) -> Iterator[tuple[str, Script]]:
    """By name: what is done under this kernel, in a directory and on a port of its own."""
    for where, options, _ in NGINX_CASES:
        if where == kernel:
            yield f"nginx {options}", lambda directory, port, options=options: with_curl(directory, port, options)
    yield "connections", with_connections
    for where, options in IPERF3_CASES:
        if where == kernel:
            yield f"iperf3 {options}", lambda _, port, options=options: with_iperf3(port, options)
    yield "redis", with_redis


def nginx_config(directory: Path, port: int, options: str) -> Path:
    """Its access log is the script's output."""
    (directory / "big").write_bytes(bytes(FILE_BYTES))
    config = directory / "config"
    text = NGINX.format(directory=directory, port=port, root=directory, options=options)
    text = text.replace("daemon off;", "").replace("'$bytes_sent'", f"'nginx {port} $bytes_sent $request_length'")
    config.write_text(text.replace(f"access_log {directory}/access", "access_log /proc/self/fd/1"))
    return config


def with_curl(directory: Path, port: int, options: str) -> str:
    config = nginx_config(directory, port, options)
    # A daemon whose first process has ended listens.
    return f"""
        nginx -c {config}
        for n in 1 2 3; do
          curl -s -o /dev/null -w 'curl %{{size_header}} %{{size_download}} %{{size_request}}\\n' \\
            http://127.0.0.1:{port}/big
        done
        nginx -c {config} -s quit
    """


def with_connections(directory: Path, port: int) -> str:
    config = nginx_config(directory, port, A_CONNECTION_A_REQUEST)
    (directory / "small").write_bytes(bytes(4099))
    return f"""
        nginx -c {config}
        curl -s -Z --parallel-max 8 -o /dev/null 'http://127.0.0.1:{port}/small?[1-{CONNECTIONS}]'
        nginx -c {config} -s quit
    """


def with_iperf3(port: int, options: str) -> str:
    host = "::1" if "-6" in options else "127.0.0.1"
    return f"""
        start listening iperf3 -s -1 -p {port} --forceflush
        iperf3 -c {host} -p {port} -n 3000007 -J {options}
        wait $!
    """


def with_redis(directory: Path, port: int) -> str:
    return f"""
        start Ready redis-server --port {port} --save '' --dir {directory}
        redis-benchmark -p {port} -t set,get -n 203 -c 5 -d 1009 -q >/dev/null
        redis-cli -p {port} info stats
        kill $!
        wait $!
    """


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """What a program did under a kernel."""

    @cache
    def parts(kernel: str) -> dict[str, Part]:
        return record_parts(tmp_path_factory.mktemp("programs"), kernel)

    return lambda kernel, name: parts(kernel)[name]


def record_parts(directory: Path, kernel: str) -> dict[str, Part]:
    """All that is done under this kernel, recorded to the end of all that it started."""
    directory.chmod(0o755)
    ports: dict[str, int] = {}
    lines = [PRELUDE]
    for port, (name, script) in zip(count(FIRST_PORT), scripts(kernel), strict=False):
        own = directory / str(port)
        own.mkdir()
        ports[name] = port
        lines += [f"echo '{MARK}{name}'", script(own, port)]
    options = ("--lab", kernel, "--wait")
    recording, done = record(directory, "sh", "-c", "\n".join(lines), options=options, most_s=590)
    assert done.returncode == 0, (done.stdout, done.stderr)
    said = said_by(done.stdout)
    return {name: Part(only(recording, port), said[name], logged(done.stdout, port)) for name, port in ports.items()}


def only(recording: SocketRecording, port: int) -> SocketRecording:
    sockets = [one for one in recording.sockets if one.local.endswith(f":{port}") or one.peer.endswith(f":{port}")]
    return msgspec.structs.replace(recording, sockets=sockets)


def said_by(output: str) -> dict[str, str]:
    """By the name of the part."""
    text = "".join(line for line in output.splitlines(keepends=True) if not line.startswith("nginx "))
    return dict(part.split("\n", 1) for part in text.split(MARK)[1:])


def logged(output: str, port: int) -> tuple[int, int]:
    lines = [line.split() for line in output.splitlines() if line.startswith(f"nginx {port} ")]
    return sum(int(line[2]) for line in lines), sum(int(line[3]) for line in lines)


def rows_of(recording: SocketRecording, *programs: str) -> list[Socket]:
    return [socket for socket in recording.sockets if socket.comm in programs]


def sent_by(recording: SocketRecording, *programs: str) -> Counter[str]:
    moved: Counter[str] = Counter()
    for socket in rows_of(recording, *programs):
        moved.update({way: one.bytes for way, one in socket.sent.items()})
    return moved


def read_by(recording: SocketRecording, *programs: str) -> int:
    return sum(socket.read_bytes or 0 for socket in rows_of(recording, *programs))


@pytest.mark.parametrize(("kernel", "options", "way"), NGINX_CASES)
def test_nginx_and_curl_say_the_same(recorded: Recorded, kernel: str, options: str, way: str) -> None:
    """The access log, curl's own figures and both ends' rows; the file is spliced or copied, the headers are copied."""
    recording, said, logged = recorded(kernel, f"nginx {options}")
    curls = [tuple(map(int, line.split()[1:])) for line in said.splitlines() if line.startswith("curl ")]
    headers, bodies, requests = map(sum, zip(*curls, strict=True))

    assert logged == (headers + bodies, requests)
    assert bodies == 3 * FILE_BYTES
    copied = {"copy": headers} if way == "splice" else {"copy": headers + bodies}
    assert sent_by(recording, "nginx") == copied | ({"splice": bodies} if way == "splice" else {})
    assert (sent_by(recording, "curl"), read_by(recording, "nginx")) == ({"copy": requests}, requests)
    assert read_by(recording, "curl") == headers + bodies
    sound(recording)


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_connection_a_request(recorded: Recorded, kernel: str) -> None:
    """A hundred, eight at once, in a guest that is slow: all balance, none is lost, the access log agrees."""
    recording, _, logged = recorded(kernel, "connections")

    assert sum(sent_by(recording, "nginx").values()) == logged[0]
    assert recording.unlisted_sockets == 0
    assert sum(one.accepted for one in rows_of(recording, "nginx")) == CONNECTIONS
    sound(recording)


@pytest.mark.parametrize(("kernel", "options"), IPERF3_CASES)
def test_iperf3_says_the_same(recorded: Recorded, kernel: str, options: str) -> None:
    """Bytes of the test streams are iperf3's own, on both ends; before them a TCP client sends a cookie of 37 B."""
    recording, said, _ = recorded(kernel, f"iperf3 {options}")
    kind = "udp" if "-u" in options else "tcp"
    told = [one["udp" if kind == "udp" else "sender"]["bytes"] for one in json.loads(said)["end"]["streams"]]
    senders = [one for one in recording.sockets if one.protocol == kind and one.sent_bytes > 100_000]

    assert len(senders) == len(told)
    way = "splice" if "-Z" in options else "copy"
    assert sum(one.sent_bytes for one in senders) - sum(told) == beside(kind, options, len(told))
    assert all(way in one.sent for one in senders)
    if way == "splice":
        assert sum(one.sent["copy"].bytes for one in senders) == 37 * len(told)
    sound(recording)


@pytest.mark.parametrize("kernel", KERNELS)
def test_redis_counts_the_same(recorded: Recorded, kernel: str) -> None:
    """The server's own statistics of bytes in and out; its answer to that question is not in them yet."""
    recording, said, _ = recorded(kernel, "redis")
    read, sent = (int(re.search(rf"total_net_{way}_bytes:(\d+)", said)[1]) for way in ("input", "output"))
    answer = said.replace("\n", "\r\n")  # read as text

    server, clients = "redis-server", ("redis-benchmark", "redis-cli")
    assert read > 203 * 1009
    assert read_by(recording, server) == read
    assert sent_by(recording, *clients) == {"copy": read}
    assert sent_by(recording, server) == {"copy": sent + len(f"${len(answer)}\r\n{answer}\r\n")}
    assert read_by(recording, *clients) == sent_by(recording, server)["copy"]
    sound(recording)
