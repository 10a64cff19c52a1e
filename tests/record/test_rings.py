"""Requests of io_uring of every kind that sends: no system call tells their way, and their completions do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.command import compiled, needs
from tests.record.test_ways import broken_laws, record
from tracer.model.sockets import Transfer
from tracer.observers.choice import why_no_functions

pytestmark = [pytest.mark.live, needs("gcc")]

CALLS, SIZE = 7, 10007
WAYS = {
    "write": "copy", "writev": "copy", "send": "copy", "async": "copy", "sendmsg": "copy", "flagged": "zerocopy",
    "zerocopy": "uring_zerocopy", "sendmsg_zerocopy": "uring_zerocopy", "splice": "splice", "silent": "unknown",
}  # fmt: skip


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled("uring_ways", tmp_path_factory.mktemp("rings"), "-luring")


def test_what_a_ring_splices_out_is_read_by_splice(tmp_path: Path, program: Path) -> None:
    """It is in no system call, and copies nothing to the reader."""
    recording, done = record(tmp_path, program, "spliced_out")

    assert done.returncode == 0, done.stderr
    assert {way: moved.bytes for way, moved in recording.totals.read.items()} == {"splice": CALLS * SIZE}
    assert (broken_laws(recording), recording.lost) == ([], 0)


CASES = [*((kind, "tcp") for kind in WAYS), *((kind, "udp") for kind in ("send", "sendmsg", "zerocopy"))]


@pytest.mark.parametrize(("kind", "protocol"), CASES)
def test_each_request_is_in_its_way(tmp_path: Path, program: Path, kind: str, protocol: str) -> None:
    """Of one whose completion is not wanted the bytes are known, and the way where functions are probed alone."""
    recording, done = record(tmp_path, program, kind, protocol)

    way = "copy" if kind == "silent" and why_no_functions() is None else WAYS[kind]
    assert done.returncode == 0, done.stderr
    assert recording.totals.sent == {way: Transfer(calls=CALLS, bytes=CALLS * SIZE)}
    assert recording.lost == 0
    assert protocol == "udp" or broken_laws(recording) == []
