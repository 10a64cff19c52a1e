"""The same program, under the kernels that people run: functions can be probed there, and are."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import NETTRACE, ROOT
from tests.record.test_ways import CALLS, PROGRAM, SIZE, broken_laws
from tracer.books.socket_file import decode_sockets

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
