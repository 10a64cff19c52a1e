"""Each way to send and to read, by a program that counts for itself: nettrace says the same, to the byte."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.command import DEADLINE_S, NETTRACE, ROOT
from tracer.books.socket_file import decode_sockets
from tracer.books.socket_laws import laws_of
from tracer.model import LawState
from tracer.model.socket_recording import SocketRecording
from tracer.model.sockets import READ_WAYS, SEND_WAYS

pytestmark = pytest.mark.live

PROGRAM = ROOT / "tests/programs/ways.py"
CALLS, SIZE = 23, 10007


def record(
    directory: Path, *command: object, options: tuple[str, ...] = (), most_s: float = DEADLINE_S, **how: Any
) -> tuple[SocketRecording, subprocess.CompletedProcess[str]]:
    """Record a command; its recording, and how it ended."""
    file = directory / "recording.json"
    done = subprocess.run(
        [*NETTRACE, "record", *options, "-o", str(file), "--", *map(str, command)],
        capture_output=True, text=True, timeout=most_s, cwd=ROOT, check=False, **how,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return decode_sockets(file.read_bytes(), str(file)), done


def broken_laws(recording: SocketRecording) -> list[object]:
    """Laws of sockets that have ended which do not hold."""
    laws = [law for socket in recording.sockets if socket.ended for law in laws_of(socket)]
    assert laws
    return [law for law in laws if law.state is not LawState.HOLDS]


SENDS = ("send", "sendmsg", "writev", "zerocopy", "zerocopy_ignored", "mixed", "sendfile", "splice")
READS = ("recv", "peek", "discard", "splice_out")
CASES = [
    *((way, "recv", family, "tcp") for way in SENDS for family in ("4", "6")),
    *(("send", read, "4", "tcp") for read in READS[1:]),
    *((way, "recv", family, "udp") for way in ("send", "zerocopy") for family in ("4", "6")),
]


@pytest.mark.parametrize(("way", "read", "family", "kind"), CASES)
def test_bytes_by_way_are_what_the_program_counted(tmp_path: Path, way: str, read: str, family: str, kind: str) -> None:
    """Every way to send and to read, to the byte, on TCP and UDP, IPv4 and IPv6; all laws hold, nothing is lost."""
    recording, done = record(tmp_path, sys.executable, PROGRAM, way, read, CALLS, SIZE, family, kind)

    said = json.loads(done.stdout)
    assert {one: moved.bytes for one, moved in recording.totals.sent.items()} == {
        one: said[one] for one in SEND_WAYS if said.get(one)
    }
    assert {one: moved.bytes for one, moved in recording.totals.read.items()} == {
        one: said[f"read_{one}"] for one in READ_WAYS if said.get(f"read_{one}")
    }
    assert broken_laws(recording) == []
    assert recording.lost == 0
    assert all(socket.ended for socket in recording.sockets)


def test_completions_are_what_the_program_took(tmp_path: Path) -> None:
    """Notifications: as many, in as many ranges, with as many flags "copied" as the program read from its queue."""
    recording, done = record(tmp_path, sys.executable, PROGRAM, "zerocopy", "recv", CALLS, SIZE)

    said, found = json.loads(done.stdout), recording.totals.completions
    assert found is not None
    assert said["reaped"] == CALLS
    taken = found.reaped, found.ranges, found.reaped_copied
    assert taken == (said["reaped"], said["ranges"], said["reaped_copied"])
    # The last one may be taken before the hook that counts what is posted looks at the queue (law S6).
    assert CALLS - found.total in (0, 1)
    assert found.total - found.copied == CALLS - said["reaped_copied"]


def test_threads_on_one_socket_are_told_apart(tmp_path: Path) -> None:
    """Three at once, each in a way of its own, that wait for room in the middle of their calls."""
    program = PROGRAM.with_name("threads_on_one_socket.py")
    recording, done = record(tmp_path, sys.executable, program, CALLS, 3 * SIZE)

    said = json.loads(done.stdout)
    (sender,) = (socket for socket in recording.sockets if socket.sent)
    assert {way: moved.bytes for way, moved in sender.sent.items()} == dict.fromkeys(
        ("copy", "zerocopy", "splice"), CALLS * 3 * SIZE
    )
    assert said["copy"] == said["zerocopy"] == said["splice"] == CALLS * 3 * SIZE
    assert broken_laws(recording) == []
