"""The same program, under the kernels that people run: functions can be probed there, and are."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import NETTRACE, ROOT
from tests.record.test_ways import CALLS, PROGRAM, SIZE, broken_laws, record
from tracer.books.later_copies import named
from tracer.books.socket_file import decode_sockets
from tracer.model.sockets import READ_WAYS, SEND_WAYS

pytestmark = pytest.mark.lab


@pytest.mark.timeout(400)
@pytest.mark.parametrize("kernel", ["6.1", "6.12", "7.2"])
def test_bytes_by_way_are_what_the_program_counted(tmp_path: Path, kernel: str) -> None:
    """Header copied and body pinned, told apart by the call; where and how much was copied later, by the function."""
    file = tmp_path / "recording.json"
    program = (sys.executable, PROGRAM, "mixed", "recv", CALLS, SIZE)
    done = subprocess.run(
        [*NETTRACE, "record", "--lab", kernel, "-o", str(file), "--", *map(str, program)],
        capture_output=True, text=True, timeout=390, cwd=ROOT, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    said, recording = json.loads(done.stdout), decode_sockets(file.read_bytes(), str(file))
    assert recording.hooks.calls == "fexit"
    assert {way: moved.bytes for way, moved in recording.totals.sent.items()} == {
        way: said[way] for way in ("copy", "zerocopy")
    }
    # Loopback copies each skb that holds pinned pages, whole, each time that it is sent.
    left = recording.totals.left
    assert recording.totals.deferred
    assert sum(copy.bytes for copy in recording.totals.deferred) == left.zerocopy + left.mixed
    assert broken_laws(recording) == []
    assert (recording.lost, recording.hooks.skipped) == (0, {})


OTHERS = [
    ("sendfile", "recv", "6", "tcp"),
    ("splice", "splice_out", "4", "tcp"),
    ("zerocopy", "recv", "4", "udp"),
    ("zerocopy", "discard", "4", "tcp"),
]


@pytest.mark.timeout(400)
@pytest.mark.parametrize("kernel", ["6.1", "6.12", "7.2"])
@pytest.mark.parametrize(("way", "read", "family", "kind"), OTHERS)
def test_other_ways_too(tmp_path: Path, kernel: str, way: str, read: str, family: str, kind: str) -> None:
    """Pages of a file, of a pipe, datagrams, bytes that are thrown away; with the other ends' programs attached."""
    file = tmp_path / "recording.json"
    program = (sys.executable, PROGRAM, way, read, CALLS, SIZE, family, kind)
    done = subprocess.run(
        [*NETTRACE, "record", "--lab", kernel, "--peers", "-o", str(file), "--", *map(str, program)],
        capture_output=True, text=True, timeout=390, cwd=ROOT, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    said, recording = json.loads(done.stdout), decode_sockets(file.read_bytes(), str(file))
    totals = recording.totals
    assert {one: moved.bytes for one, moved in totals.sent.items()} == {
        one: said[one] for one in SEND_WAYS if said.get(one)
    }
    assert {one: moved.bytes for one, moved in totals.read.items()} == {
        one: said[f"read_{one}"] for one in READ_WAYS if said.get(f"read_{one}")
    }
    if way == "zerocopy":
        assert totals.deferred
        assert sum(copy.bytes for copy in totals.deferred) == totals.left.zerocopy + totals.left.mixed
        assert {named(copy.caller).partition(" (")[0] for copy in totals.deferred} == {"local delivery"}
    assert broken_laws(recording) == []
    assert (recording.lost, recording.hooks.skipped, recording.peers) == (0, {}, [])


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("kernel", "kind", "way"),
    # MPTCP has a splice_read of its own by 7.2; where a protocol has none, the kernel receives and fills the pipe.
    [("6.1", "udp", "copy"), ("6.12", "udp", "copy"), ("6.12", "mptcp", "copy"), ("7.2", "mptcp", "splice")],
)
def test_what_is_spliced_out_of_another_protocol_is_counted_once(
    tmp_path: Path, kernel: str, kind: str, way: str
) -> None:
    """As it was read: spliced where the protocol splices, copied where it receives."""
    program = (sys.executable, ROOT / "tests/programs/spliced_out.py", kind)
    recording, done = record(tmp_path, *program, options=("--lab", kernel), most_s=390)

    assert done.stdout.strip() == str(7 * 1009)
    assert {one: moved.bytes for one, moved in recording.totals.read.items()} == {way: 7 * 1009}
    assert recording.lost == 0
