"""Real programs under the kernels that people run: both ends in the guest, over its loopback.

One guest a kernel runs them one after the other: tests/record/programs_in_guest.py.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.command import file_server, needs
from tests.programs import legal
from tests.record.programs_in_guest import (
    BEHIND,
    CONNECTIONS,
    FILE_BYTES,
    IPERF3_CASES,
    KERNELS,
    NGINX_CASES,
    REQUESTS,
    URING_CASES,
    Part,
    record_parts,
)
from tests.record.test_legal_programs import agrees
from tests.record.test_more_programs import BYTES, agrees_with_ssh
from tests.record.test_programs import beside, received_by_rsync, sound
from tracer.model.socket_recording import SocketRecording
from tracer.model.sockets import Completions, Socket

pytestmark = [
    pytest.mark.lab, pytest.mark.timeout(1800),
    needs("nginx", "curl", "iperf3", "redis-server", "redis-benchmark", "rsync", "haproxy", "go", "gcc"),
    needs("scp", "ssh", "ssh-keygen", "dropbear", "dropbearkey"),
]  # fmt: skip

Recorded = Callable[[str, str], Part]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """What a program did under a kernel. One that could not be recorded is not tried again for each program."""

    @cache
    def go_server() -> Path:
        return file_server(tmp_path_factory.mktemp("go"))

    @cache
    def parts(kernel: str) -> dict[str, Part] | Exception:
        try:
            return record_parts(tmp_path_factory.mktemp("programs"), kernel, go_server())
        except (AssertionError, subprocess.TimeoutExpired) as error:
            return error

    def part(kernel: str, name: str) -> Part:
        found = parts(kernel)
        if isinstance(found, Exception):
            raise found
        return found[name]

    return part


def rows_of(recording: SocketRecording, *programs: str) -> list[Socket]:
    return [socket for socket in recording.sockets if socket.comm in programs]


def sent_by(recording: SocketRecording, *programs: str) -> Counter[str]:
    return sent_in(rows_of(recording, *programs))


def read_by(recording: SocketRecording, *programs: str) -> int:
    return read_in(rows_of(recording, *programs))


def ends(recording: SocketRecording, port: int) -> tuple[list[Socket], list[Socket]]:
    """The server's sockets on this port, and its clients'."""
    served = [one for one in recording.sockets if one.local.endswith(f":{port}")]
    return served, [one for one in recording.sockets if one.peer.endswith(f":{port}")]


def sent_in(sockets: list[Socket]) -> Counter[str]:
    moved: Counter[str] = Counter()
    for socket in sockets:
        moved.update({way: one.bytes for way, one in socket.sent.items()})
    return moved


def read_in(sockets: list[Socket]) -> int:
    return sum(socket.read_bytes for socket in sockets)


def told_by_curl(said: str) -> tuple[int, int, int]:
    """Bytes of headers, of bodies and of requests, over all its fetches."""
    fetches = [tuple(map(int, line.split()[1:])) for line in said.splitlines() if line.startswith("curl ")]
    headers, bodies, requests = map(sum, zip(*fetches, strict=True))
    return headers, bodies, requests


@pytest.mark.parametrize(("kernel", "options", "way"), NGINX_CASES)
def test_nginx_and_curl_say_the_same(recorded: Recorded, kernel: str, options: str, way: str) -> None:
    """The access log, curl's own figures and both ends' rows; the file is spliced or copied, the headers are copied."""
    recording, said, logged, _ = recorded(kernel, f"nginx {options}")
    headers, bodies, requests = told_by_curl(said)

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
    recording, _, logged, _ = recorded(kernel, "connections")

    assert sum(sent_by(recording, "nginx").values()) == logged[0]
    assert recording.unlisted_sockets == 0
    assert sum(one.accepted for one in rows_of(recording, "nginx")) == CONNECTIONS
    sound(recording)


@pytest.mark.parametrize(("kernel", "options"), IPERF3_CASES)
def test_iperf3_says_the_same(recorded: Recorded, kernel: str, options: str) -> None:
    """Bytes of the test streams are iperf3's own, on both ends; before them a TCP client sends a cookie of 37 B."""
    recording, said, *_ = recorded(kernel, f"iperf3 {options}")
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
    """The server's own statistics of bytes in and out; its answer to that question is not in them yet.

    Twenty clients on one processor, of which 7.2 interrupts some in the middle of a call.
    """
    recording, said, *_ = recorded(kernel, "redis")
    read, sent = (int(re.search(rf"total_net_{way}_bytes:(\d+)", said)[1]) for way in ("input", "output"))
    answer = said.replace("\n", "\r\n")  # read as text

    server, clients = "redis-server", ("redis-benchmark", "redis-cli")
    assert read > REQUESTS * 1009
    assert read_by(recording, server) == read
    assert sent_by(recording, *clients) == {"copy": read}
    assert sent_by(recording, server) == {"copy": sent + len(f"${len(answer)}\r\n{answer}\r\n")}
    assert read_by(recording, *clients) == sent_by(recording, server)["copy"]
    assert (recording.hooks.programs_per_hook > 1) == (kernel == "7.2")
    sound(recording)


@pytest.mark.parametrize("kernel", KERNELS)
def test_an_rsync_daemon_serves_a_file(recorded: Recorded, kernel: str) -> None:
    """What the daemon's child sends is what the client says that it received, behind its greeting."""
    recording, said, _, port = recorded(kernel, "rsync")
    served, clients = ends(recording, port)

    assert int(said.split()[-1]) == FILE_BYTES
    assert 0 < read_in(clients) - received_by_rsync(said) < 256
    assert sent_in(served) == {"copy": read_in(clients)}
    assert sent_in(clients) == {"copy": read_in(served)}
    sound(recording)


@pytest.mark.parametrize("kernel", KERNELS)
def test_haproxy_splices_what_a_python_server_copies(recorded: Recorded, kernel: str) -> None:
    """curl's own figures at both sides of the proxy, which reads by splice what it sends by splice."""
    recording, said, _, port = recorded(kernel, "haproxy")
    headers, body, request = told_by_curl(said)
    front, clients = ends(recording, port)
    behind, proxied = ends(recording, port + BEHIND)

    assert body == FILE_BYTES
    assert [(sent_in(one), read_in(one)) for one in (clients, proxied)] == [({"copy": request}, headers + body)] * 2
    assert (sent_in(behind), read_in(behind)) == ({"copy": headers + body}, request)
    assert (sum(sent_in(front).values()), read_in(front)) == (headers + body, request)
    assert sent_in(front)["splice"] == sum(one.read_by("splice") for one in proxied) > FILE_BYTES // 2
    sound(recording)


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_go_server_splices_the_file(recorded: Recorded, kernel: str) -> None:
    """net/http sends the file by sendfile, and copies the headers with its first 512 B."""
    recording, said, *_ = recorded(kernel, "go")
    headers, body, request = told_by_curl(said)

    assert sent_by(recording, "file_server") == {"copy": headers + 512, "splice": FILE_BYTES - 512}
    assert (read_by(recording, "curl"), body) == (headers + body, FILE_BYTES)
    assert (sent_by(recording, "curl"), read_by(recording, "file_server")) == ({"copy": request}, request)
    sound(recording)


@pytest.mark.parametrize("kernel", KERNELS)
def test_grpc_both_ends_agree(recorded: Recorded, kernel: str) -> None:
    """What one end sends the other reads, but for the server's last frame, which may come too late.

    A client that has gone does not read it: by TCP's books it is unread, or was never acknowledged.
    """
    recording, said, _, port = recorded(kernel, "grpc")
    served, clients = ends(recording, port)

    assert int(said) == 23 * 10007
    assert sent_in(clients) == {"copy": read_in(served)}
    assert sent_in(served).keys() == {"copy"}
    late = sent_in(served)["copy"] - read_in(clients)
    assert 0 <= late <= sum(one.tcp.unacked for one in served) + sum(one.tcp.unread for one in clients)
    assert min(read_in(clients), read_in(served)) > 23 * 10007
    assert {socket.comm for socket in recording.sockets} == {"python3"}
    sound(recording)


@pytest.mark.parametrize(("options", "way"), URING_CASES)
@pytest.mark.parametrize("kernel", KERNELS)
def test_an_io_uring_server_with_direct_descriptors(recorded: Recorded, kernel: str, options: str, way: str) -> None:
    """Sockets without a number in the process: bytes by way, and a notification a send."""
    recording, said, *_ = recorded(kernel, f"io_uring {options}")
    client, server = map(json.loads, said.splitlines())

    assert client == server["read"] == server["sent"] == BYTES
    assert (sent_by(recording, "uring_server"), read_by(recording, "uring_server")) == ({way: BYTES}, BYTES)
    assert (sent_by(recording, "python3"), read_by(recording, "python3")) == ({"copy": BYTES}, BYTES)
    if way == "uring_zerocopy":
        done = [one.completions for one in recording.sockets if one.completions is not None]
        assert done == [Completions(total=server["notified"], copied=server["notified"])]
    sound(recording)


@pytest.mark.parametrize("kernel", KERNELS)
def test_scp_copies_a_file(recorded: Recorded, kernel: str) -> None:
    """Both ends agree, and ssh's own figure is it."""
    recording, said, *_ = recorded(kernel, "scp")

    assert int(said.split()[-1]) == FILE_BYTES
    assert sent_by(recording, "ssh") == {"copy": read_by(recording, "dropbear")}
    assert sent_by(recording, "dropbear") == {"copy": read_by(recording, "ssh")}
    assert agrees_with_ssh(sent_by(recording, "ssh")["copy"], said)
    sound(recording)


@pytest.mark.parametrize("kernel", KERNELS)
def test_uncommon_calls_balance(recorded: Recorded, kernel: str) -> None:
    """What tests/programs/legal.py does, all laws of it."""
    recording, said, *_ = recorded(kernel, legal.COMM)

    agrees(recording, said)
