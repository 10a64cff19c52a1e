"""Real programs of other kinds: io_uring with direct descriptors, MPTCP, Go, gRPC, scp. Each says what it moved."""

from __future__ import annotations

import os
import pwd
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import ROOT, compiled, file_server, free_port, needs
from tests.record.servers import FILE_BYTES, Server, fetch
from tests.record.test_programs import sent, sound
from tests.record.test_ways import broken_laws, record
from tracer.books.socket_laws import laws_of
from tracer.model import LawState

pytestmark = pytest.mark.live

PROGRAMS = ROOT / "tests/programs"
CLIENT = """
import socket, sys
c = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
for _ in range(101): c.sendall(bytes(10007))
c.shutdown(1)
number = 0
while data := c.recv(65536): number += len(data)
print(number)
"""
BYTES = 101 * 10007


@needs("gcc")
@pytest.mark.parametrize(("options", "way"), [("send", "copy"), ("zerocopy", "uring_zerocopy")])
def test_an_io_uring_server_with_direct_descriptors(tmp_path: Path, options: str, way: str) -> None:
    """Multishot accept and receive, sockets without a number in the process: bytes by way, notifications, laws."""
    program, port = compiled("uring_server", tmp_path, "-luring"), free_port()
    server = Server(tmp_path / "server", port, program, port, options)
    client = subprocess.run([sys.executable, "-c", CLIENT, str(port)], capture_output=True, text=True, check=True)
    server.process.wait(60)
    recording, _ = server.stop()

    assert int(client.stdout) == BYTES
    assert (sent(recording), recording.totals.read["copy"].bytes) == ({way: BYTES}, BYTES)
    if way == "uring_zerocopy":
        done = recording.totals.completions
        assert done is not None
        assert (done.total, done.copied) == (recording.totals.sent[way].calls, recording.totals.sent[way].calls)
    sound(recording)


def sent_again_by_mptcp() -> int:
    """Times, in this network namespace (MPTcpExt: MPTCPRetrans)."""
    names, values = (
        line.split() for line in Path("/proc/net/netstat").read_text().splitlines() if line.startswith("MPTcpExt:")
    )
    return int(dict(zip(names, values, strict=True))["MPTCPRetrans"])


def test_mptcp_is_exact_at_its_calls_and_its_subflows_are_told(tmp_path: Path) -> None:
    """Bytes of the calls; the connections below it are rows without a caller, which TCP's laws do not judge."""
    support = Path("/proc/sys/net/mptcp/enabled")
    if not support.exists() or support.read_text().strip() != "1":
        pytest.skip("this kernel has no MPTCP, or it is off")
    before = sent_again_by_mptcp()
    recording, done = record(tmp_path, sys.executable, PROGRAMS / "mptcp.py")

    assert int(done.stdout) == BYTES
    assert (sent(recording), recording.totals.read["copy"].bytes) == ({"copy": BYTES}, BYTES)
    subflows = [socket for socket in recording.sockets if socket.protocol == "tcp"]
    assert {(socket.above, socket.comm) for socket in subflows} == {("mptcp", None)}
    left = sum(socket.left.bytes - socket.left.again for socket in subflows)
    # What it sends again after a time-out of its own is new to the connection below it.
    assert left == BYTES or (left > BYTES and sent_again_by_mptcp() > before)
    assert {law.state for socket in subflows for law in laws_of(socket)} == {LawState.UNKNOWN}
    assert ("(MPTCP subflow)" in done.stderr, recording.lost) == (True, 0)


def test_with_peers_the_subflows_of_a_command_are_its_own(tmp_path: Path) -> None:
    """Those that connect the kernel makes, in the command's cgroup."""
    if not Path("/proc/sys/net/mptcp/enabled").exists():
        pytest.skip("this kernel has no MPTCP")
    recording, _ = record(tmp_path, sys.executable, PROGRAMS / "mptcp.py", options=("--peers",))
    alone, _ = record(tmp_path, sys.executable, PROGRAMS / "mptcp.py")

    assert (len(recording.sockets), recording.peers) == (len(alone.sockets), [])


@needs("go")
def test_a_go_server_splices_the_file(tmp_path: Path, big: Path) -> None:
    """net/http sends a file by sendfile: what it sends is what was read, the headers are copied."""
    program, port = file_server(tmp_path), free_port()
    server = Server(tmp_path / "server", port, program, port, big.parent)
    assert fetch(port) == FILE_BYTES
    recording, _ = server.stop()

    found = sent(recording)
    assert (found["splice"] > FILE_BYTES // 2, FILE_BYTES < sum(found.values()) < FILE_BYTES + 1000) == (True, True)
    sound(recording)


@pytest.mark.skipif(
    not Path("/usr/lib/python3/dist-packages/grpc").exists(), reason="not installed: python3-grpcio; make test-packages"
)
def test_grpc_both_ends_agree(tmp_path: Path) -> None:
    """What one end sends the other receives, every message in it; a thread's name is not the process's."""
    recording, done = record(tmp_path, "/usr/bin/python3", PROGRAMS / "grpc_echo.py")

    assert int(done.stdout) == 23 * 10007
    assert recording.totals.left.bytes - recording.totals.left.again == recording.totals.sent_bytes > 2 * 23 * 10007
    assert {socket.comm for socket in recording.sockets} == {"python3"}
    assert (broken_laws(recording), recording.lost) == ([], 0)


# The one whose key is let in is the user's own, in a home directory that only the server sees.
SSH_SERVER = """
mount -t tmpfs -o mode=700 tmpfs "$1" && mkdir -m 700 "$1/.ssh" && cp "$2/key.pub" "$1/.ssh/authorized_keys"
exec dropbear -F -E -s -r "$2/host" -p "127.0.0.1:$3" -P "$2/pid"
"""
CHACHA_TAG = 16
SSH_OPTIONS = (
    "-oBatchMode=yes", "-oCiphers=chacha20-poly1305@openssh.com", "-oStrictHostKeyChecking=no",
    "-oUserKnownHostsFile=/dev/null",
)  # fmt: skip


def ssh_server(directory: Path, port: int) -> list[object]:
    """Its command, with keys made."""
    subprocess.run(["dropbearkey", "-t", "ed25519", "-f", directory / "host"], capture_output=True, check=True)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", directory / "key"], check=True)
    home = pwd.getpwuid(os.getuid()).pw_dir
    return ["unshare", "-m", "sh", "-c", SSH_SERVER, "sh", home, directory, port]


def scp(directory: Path, port: int, *ends: object) -> list[object]:
    """Its command; says what it sent on stderr."""
    return ["scp", "-v", "-O", "-F", "/dev/null", "-P", port, "-i", directory / "key", *SSH_OPTIONS, *ends]


@needs("scp", "ssh", "ssh-keygen", "dropbear", "dropbearkey")
@pytest.mark.parametrize("direction", ["there", "here"])
def test_scp_copies_a_file(tmp_path: Path, big: Path, direction: str) -> None:
    """Both ends agree, and ssh's own figure is it, but for its first line and a tag of 16 B behind each packet."""
    port = free_port()
    server = Server(tmp_path / "server", port, *ssh_server(tmp_path, port))
    user, copy = pwd.getpwuid(os.getuid()).pw_name, tmp_path / "copy"
    ends = (f"{user}@127.0.0.1:{big}", copy) if direction == "here" else (big, f"{user}@127.0.0.1:{copy}")
    client, done = record(tmp_path, *scp(tmp_path, port, *ends))
    served, _ = server.stop()

    assert (done.returncode, copy.stat().st_size) == (0, FILE_BYTES), done.stderr
    assert sent(client) == {"copy": served.totals.read["copy"].bytes}
    assert sent(served) == {"copy": client.totals.read["copy"].bytes}
    assert agrees_with_ssh(client.totals.sent["copy"].bytes, done.stderr)
    sound(client)
    sound(served)


def agrees_with_ssh(sent_bytes: int, said: str) -> bool:
    """Whether that is ssh's own figure, with its first line and a tag behind each packet, which it leaves out."""
    greeting = re.search(r"Local version string (.*)", said)[1].rstrip() + "\r\n"
    told = int(re.search(r"Transferred: sent (\d+)", said)[1])
    tags, rest = divmod(sent_bytes - told - len(greeting), CHACHA_TAG)
    return rest == 0 < tags
