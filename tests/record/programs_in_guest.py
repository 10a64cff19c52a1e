"""Real programs in the lab's guest, both ends over its loopback, one after the other: what each did and said.

Each has a port of its own, by which its rows are told apart; one that stands before another has that one's as well.
"""

from __future__ import annotations

import os
import pwd
import shlex
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import NamedTuple

import msgspec

from tests.command import ROOT, compiled
from tests.programs import legal
from tests.record.test_more_programs import CLIENT, scp, ssh_server
from tests.record.test_programs import HAPROXY, NGINX, RSYNC
from tests.record.test_ways import record
from tracer.model.socket_recording import SocketRecording

FILE_BYTES = 1_000_003
FIRST_PORT = 4711
# From a proxy's port to that of the server behind it.
BEHIND = 1000

# A server says itself when it listens: no connection of ours, and no wait, is among what is counted.
PRELUDE = """
set -e
start() { # PATTERN PROGRAM...: in the background, until a line of its output has PATTERN; the rest is to be read at 3
  pattern=$1; shift
  says=$(mktemp -d)/says; mkfifo $says
  "$@" >$says 2>&1 &
  exec 3<$says
  while read -r line <&3; do case $line in *"$pattern"*) return;; esac; done
  exit 1
}
listens() { # PORT: until what was started listens there, of those that do not say so
  until grep -q "$(printf ':%04X 00000000:0000 0A' $1)" /proc/net/tcp; do kill -0 $!; sleep 0.05; done
}
stop() { # what was started; its exit code is its own matter
  kill $!; wait $! || :
}
"""
# Between the outputs of two parts; what nginx logs has its port at the front, and may come later.
MARK = "#### "

KERNELS = ["6.1", "6.12", "7.2"]
NGINX_CASES = [
    ("6.1", "sendfile on; tcp_nopush on;", "splice"),
    ("6.12", "sendfile on;", "splice"),
    ("6.12", "sendfile off;", "copy"),
    ("7.2", "sendfile on; tcp_nopush on;", "splice"),
]
CONNECTIONS = 103
REQUESTS = 2003
A_CONNECTION_A_REQUEST = "sendfile on; keepalive_requests 1;"
IPERF3_CASES = [
    ("6.1", "-Z"), ("6.1", "-R"), ("6.12", ""), ("6.12", "-Z"), ("6.12", "-Z -6 -P 2"), ("6.12", "-u -b 0 -l 1009"),
    ("7.2", "-Z"), ("7.2", "-u -b 0 -l 1009"),
]  # fmt: skip
URING_CASES = [("send", "copy"), ("zerocopy", "uring_zerocopy")]


class Part(NamedTuple):
    """What one program did.

    Args:
        recording: Of all, with the rows of this part alone.
        said: What it printed.
        logged: Bytes that nginx sent and read, by its access log.
        port: Its server's.
    """

    recording: SocketRecording
    said: str
    logged: tuple[int, int]
    port: int


Script = Callable[[Path, int], str]


def record_parts(directory: Path, kernel: str, go_server: Path) -> dict[str, Part]:
    """All that is done under this kernel, one after the other, recorded to the end of all that they started."""
    wanted = dict(scripts(kernel, go_server))
    for place in (directory.parent, directory):
        place.chmod(0o755)
    ports: dict[str, int] = {}
    lines = [PRELUDE]
    for port, (name, script) in zip(count(FIRST_PORT), wanted.items(), strict=False):
        own = directory / str(port)
        own.mkdir()
        ports[name] = port
        lines += [f"echo '{MARK}{name}'", script(own, port)]
    options = ("--lab", kernel, "--wait")
    recording, done = record(directory, "sh", "-c", "\n".join(lines), options=options, most_s=590)
    assert done.returncode == 0, (done.stdout, done.stderr)
    said = said_by(done.stdout)
    return {
        name: Part(only(recording, name, port), said[name], logged(done.stdout, port), port)
        for name, port in ports.items()
    }


def only(recording: SocketRecording, name: str, port: int) -> SocketRecording:
    """The rows of this port, and of what stands behind it; of a program that has many ports, by its name."""
    ends = (f":{port}", f":{port + BEHIND}")
    sockets = [
        one for one in recording.sockets if one.comm == name or one.local.endswith(ends) or one.peer.endswith(ends)
    ]
    return msgspec.structs.replace(recording, sockets=sockets)


def said_by(output: str) -> dict[str, str]:
    """By the name of the part."""
    text = "".join(line for line in output.splitlines(keepends=True) if not line.startswith("nginx "))
    return dict(part.split("\n", 1) for part in text.split(MARK)[1:])


def logged(output: str, port: int) -> tuple[int, int]:
    lines = [line.split() for line in output.splitlines() if line.startswith(f"nginx {port} ")]
    return sum(int(line[2]) for line in lines), sum(int(line[3]) for line in lines)


def scripts(kernel: str, go_server: Path) -> Iterator[tuple[str, Script]]:
    """By name: what is done under this kernel, in a directory and on a port of its own."""
    for where, options, _ in NGINX_CASES:
        if where == kernel:
            yield f"nginx {options}", partial(with_nginx, options=options)
    yield "connections", with_connections
    for where, options in IPERF3_CASES:
        if where == kernel:
            yield f"iperf3 {options}", partial(with_iperf3, options=options)
    yield "redis", with_redis
    yield "rsync", with_rsync
    yield "haproxy", with_haproxy
    yield "go", partial(with_go, server=go_server)
    yield "grpc", with_grpc
    for options, _ in URING_CASES:
        yield f"io_uring {options}", partial(with_io_uring, options=options)
    yield "scp", with_scp
    yield legal.COMM, with_uncommon_calls


def curl(port: int) -> str:
    """Has its own figures printed."""
    figures = r"curl %{size_header} %{size_download} %{size_request}\n"
    return f"curl -s -o /dev/null -w '{figures}' http://127.0.0.1:{port}/big"


def big_file(directory: Path) -> Path:
    file = directory / "big"
    file.write_bytes(bytes(FILE_BYTES))
    return file


def nginx_config(directory: Path, port: int, options: str) -> Path:
    """Its access log is the script's output."""
    config = directory / "config"
    text = NGINX.format(directory=directory, port=port, root=directory, options=options)
    text = text.replace("daemon off;", "").replace("'$bytes_sent'", f"'nginx {port} $bytes_sent $request_length'")
    config.write_text(text.replace(f"access_log {directory}/access", "access_log /proc/self/fd/1"))
    return config


def with_uncommon_calls(_directory: Path, _port: int) -> str:
    return f"python3 {legal.__file__} {' '.join(legal.PROGRAMS)}"


def with_nginx(directory: Path, port: int, options: str) -> str:
    big_file(directory)
    config = nginx_config(directory, port, options)
    # A daemon whose first process has ended listens.
    return f"""
        nginx -c {config}
        for n in 1 2 3; do {curl(port)}; done
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


def with_iperf3(_directory: Path, port: int, options: str) -> str:
    host = "::1" if "-6" in options else "127.0.0.1"
    return f"""
        start listening iperf3 -s -1 -p {port} --forceflush
        iperf3 -c {host} -p {port} -n 3000007 -J {options}
        wait $!
    """


def with_redis(directory: Path, port: int) -> str:
    return f"""
        start Ready redis-server --port {port} --save '' --dir {directory}
        redis-benchmark -p {port} -t set,get -n {REQUESTS} -c 20 -d 1009 -q >/dev/null
        redis-cli -p {port} info stats
        stop
    """


def with_rsync(directory: Path, port: int) -> str:
    """The daemon says that it listens before it does."""
    big_file(directory)
    config = directory / "config"
    config.write_text(RSYNC.format(root=directory))
    return f"""
        rsync --daemon --no-detach --port={port} --address=127.0.0.1 --config={config} &
        listens {port}
        rsync --stats rsync://127.0.0.1:{port}/www/big {directory}/copy
        wc -c <{directory}/copy
        stop
    """


def with_haproxy(directory: Path, port: int) -> str:
    """Before Python's HTTP server; a daemon whose first process has ended listens."""
    big_file(directory)
    config = directory / "config"
    config.write_text(HAPROXY.format(front=port, behind=port + BEHIND))
    return f"""
        start Serving python3 -u -m http.server {port + BEHIND} -b 127.0.0.1 -d {directory}
        haproxy -D -p {directory}/pid -f {config}
        {curl(port)}
        kill -USR1 $(cat {directory}/pid)
        stop
    """


def with_go(directory: Path, port: int, server: Path) -> str:
    big_file(directory)
    return f"""
        start listening {server} {port} {directory}
        {curl(port)}
        stop
    """


def with_grpc(_directory: Path, port: int) -> str:
    return f"/usr/bin/python3 {ROOT}/tests/programs/grpc_echo.py {port}"


def with_io_uring(directory: Path, port: int, options: str) -> str:
    """What the client has counted, then what the server has."""
    return f"""
        start listening {compiled("uring_server", directory, "-luring")} {port} {options}
        {shell("python3", "-c", CLIENT, port)}
        wait $!
        cat <&3
    """


def with_scp(directory: Path, port: int) -> str:
    big, copy = big_file(directory), directory / "copy"
    user = pwd.getpwuid(os.getuid()).pw_name
    return f"""
        start 'Not backgrounding' {shell(*ssh_server(directory, port))}
        {shell(*scp(directory, port, big, f"{user}@127.0.0.1:{copy}"))} 2>&1
        wc -c <{copy}
        stop
    """


def shell(*command: object) -> str:
    return shlex.join(map(str, command))
