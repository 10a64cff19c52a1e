"""What a recording tells besides bytes by way: Unix sockets, CPU time, what watching takes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.record.test_ways import PROGRAM, record
from tracer.books.socket_costs import WATCHING

pytestmark = pytest.mark.live

UNIX = """
import os, socket
stream, datagram = socket.socketpair(), socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
for _ in range(23):
    stream[0].sendall(bytes(1009)); stream[1].recv(1009, socket.MSG_WAITALL)
datagram[0].send(bytes(101)); datagram[1].recv(200, socket.MSG_PEEK); datagram[1].recv(200)
r, w = os.pipe(); os.write(w, bytes(4099)); os.splice(r, stream[0].fileno(), 4099)
stream[1].recv(4099, socket.MSG_WAITALL)
if os.fork() == 0:
    stream[0].send(bytes(7)); os._exit(0)
os.wait()
"""


def test_unix_sockets_are_calls_by_process_and_in_no_total(tmp_path: Path) -> None:
    """To the byte, by way; a child is a process of its own; what others send is not there."""
    recording, _ = record(tmp_path, sys.executable, "-c", UNIX)

    assert sorted((one.way, one.calls, one.bytes) for one in recording.unix) == [
        ("read copy", 25, 23 * 1009 + 101 + 4099),
        ("read peek", 1, 101),
        ("send copy", 1, 7),
        ("send copy", 24, 23 * 1009 + 101),
        ("send splice", 1, 4099),
    ]
    assert len({one.pid for one in recording.unix}) == 2
    assert (recording.sockets, recording.totals.sent_bytes) == ([], 0)


def test_cpu_time_is_sampled_by_stage_where_asked_for(tmp_path: Path) -> None:
    """Copies and TCP are among the stages, our own programs have one, and every sample is in one of them."""
    recording, _ = record(tmp_path, sys.executable, PROGRAM, "send", "recv", 20011, 10007, options=("--profile",))
    plain, _ = record(tmp_path, sys.executable, "-c", "")

    profile = recording.profile
    assert profile is not None
    assert plain.profile is None
    assert {"copy_in", "copy_out", "tcp_ip", WATCHING} <= {cost.stage for cost in profile.stages}
    assert sum(cost.samples for cost in profile.stages) == profile.samples == sum(profile.folded.values())
    assert profile.payload_bytes == 2 * 20011 * 10007
    assert profile.lost == 0


def test_what_watching_takes_is_counted_for_a_part_of_the_time(tmp_path: Path) -> None:
    """More than nothing, less than a CPU each; for no longer than the program ran, and not for all of it."""
    recording, _ = record(tmp_path, sys.executable, PROGRAM, "send", "recv", 200003, 1009)

    cost = recording.hooks.cost
    assert cost is not None
    assert cost.runs > 100
    assert 0 < cost.spent_ns / cost.runs < 100_000
    assert 0 < cost.counted_s < recording.window.elapsed_s
