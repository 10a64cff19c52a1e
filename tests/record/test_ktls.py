"""Kernel TLS: exact at the calls; with what its records add, as its own context says, TCP's books agree with these."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.command import LAB_DEADLINE_S, ROOT
from tests.record.test_ways import record
from tracer.books.skipped_calls import uncounted_calls
from tracer.books.socket_laws import laws_of
from tracer.model import LawState
from tracer.model.sockets import READ_WAYS, SEND_WAYS, Tls

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1500)]

CALLS, SIZE = 53, 10007
# A header of 5, a nonce of 8 or a type of 1, a tag of 16. No call here is longer than a record.
TOLD = {"1.2": ("AES-GCM-128", 29), "1.3": ("AES-GCM-256", 22)}


@pytest.mark.parametrize(
    ("kernel", "way", "read", "version"),
    [
        ("6.1", "sendfile", "splice", "1.2"),
        ("6.1", "send", "recv", "1.3"),
        ("6.12", "send", "recv", "1.2"),
        ("6.12", "sendfile", "splice", "1.2"),
        ("6.12", "sendfile", "recv", "1.3"),
        ("7.2", "send", "splice", "1.2"),
    ],
)
def test_bytes_by_way_are_what_the_program_counted(
    tmp_path: Path, kernel: str, way: str, read: str, version: str
) -> None:
    """Sent and read in the way of the call, the clear line before it too; the packets are records."""
    program = ("python3", ROOT / "tests/programs/ktls.py", way, read, CALLS, SIZE, version)
    recording, done = record(tmp_path, *program, options=("--lab", kernel), most_s=LAB_DEADLINE_S)
    cipher, adds = TOLD[version]

    assert done.returncode == 0, done.stderr
    said, totals = json.loads(done.stdout), recording.totals
    assert {one: moved.bytes for one, moved in totals.sent.items()} == {
        one: said[one] for one in SEND_WAYS if said.get(one)
    }
    assert {one: moved.bytes for one, moved in totals.read.items()} == {
        one: said[f"read_{one}"] for one in READ_WAYS if said.get(f"read_{one}")
    }
    assert totals.left.bytes - totals.left.again == totals.sent_bytes + CALLS * adds
    assert {socket.above for socket in recording.sockets} == {"ulp"}
    states = {(law.id, law.state) for socket in recording.sockets for law in laws_of(socket)}
    assert states == {(law, LawState.HOLDS) for law in ("S1", "S2", "S3", "S4", "R1", "R2")}
    sending = next(socket for socket in recording.sockets if socket.sent)
    assert sending.tls == Tls(version=version, cipher=cipher, record_adds=adds, records_sent=CALLS)
    assert "encrypted-in-kernel" in [finding.code for finding in recording.findings]
    assert (recording.lost, uncounted_calls(recording)) == (0, 0)
