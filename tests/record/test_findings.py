"""Real programs with the usual mistakes: record names the mistake, and does not on the same program without it."""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
from pathlib import Path

import pytest

from tests.command import ROOT, compiled
from tests.record.test_ways import record
from tracer.model.socket_recording import Finding, SocketRecording

pytestmark = pytest.mark.live

MISTAKES, WAYS = ROOT / "tests/programs/mistakes.py", ROOT / "tests/programs/ways.py"


def codes(recording: SocketRecording) -> set[str]:
    """All but what depends on how busy the machine is: a receiver that is late drops."""
    return {finding.code for finding in recording.findings} - {"dropped-here"}


def finding(recording: SocketRecording, code: str) -> Finding:
    return next(one for one in recording.findings if one.code == code)


ON_LOOPBACK = {"zerocopy-copied"}
CASES = [
    ("no-so-zerocopy", 211, 20011, {"zerocopy-ignored"}),
    ("queue-never-read", 211, 20011, {"queue-never-read", *ON_LOOPBACK}),
    ("one-notification-a-drain", 211, 20011, {"one-by-one", *ON_LOOPBACK}),
    ("sleep-loop", 97, 20011, {"one-by-one", "lockstep", *ON_LOOPBACK}),
    ("queue-read-for-a-while", 211, 20011, {"queue-behind", *ON_LOOPBACK}),
    ("small-pieces", 2003, 1009, {"small-skbs", "zerocopy-too-small", *ON_LOOPBACK}),
    ("none", 211, 20011, ON_LOOPBACK),
    ("small-writes", 2003, 101, {"small-writes"}),
    ("tiny-reads", 2003, 101, {"tiny-reads"}),
    ("plain", 2003, 101, set()),
]


@pytest.mark.parametrize(("mistake", "calls", "size", "expected"), CASES)
def test_the_mistake_is_named(tmp_path: Path, mistake: str, calls: int, size: int, expected: set[str]) -> None:
    """That one and no other; with none there is none but what loopback does to zero-copy."""
    recording, _ = record(tmp_path, sys.executable, MISTAKES, mistake, calls, size)

    assert codes(recording) == expected


def test_notifications_that_nobody_took_are_counted(tmp_path: Path) -> None:
    """Each send has one; the program reads none."""
    recording, done = record(tmp_path, sys.executable, MISTAKES, "queue-never-read", 211, 20011)

    assert finding(recording, "queue-never-read").figures["backlog"] == json.loads(done.stdout)["calls"]


def test_the_first_enobufs_is_told_as_the_program_met_it(tmp_path: Path) -> None:
    """With little optmem: after as many zero-copy sends as the program counted; what limits it is inferred."""
    script = 'echo 20000 > /proc/sys/net/core/optmem_max; ip link set lo up; exec "$@"'
    program = (sys.executable, ROOT / "tests/programs/optmem.py")
    recording, done = record(tmp_path, "unshare", "-n", "sh", "-c", script, "sh", *program)

    assert finding(recording, "enobufs").figures["calls"] == recording.totals.refused.enobufs == 1
    assert recording.totals.refused.limit == "net.core.optmem_max"
    after = [one.refused.enobufs_after for one in recording.sockets if one.refused.enobufs]
    assert after == [json.loads(done.stdout)["sends"]]


def test_why_the_flag_was_ignored_is_told(tmp_path: Path) -> None:
    """It is read from the socket when that ends."""
    recording, _ = record(tmp_path, sys.executable, MISTAKES, "no-so-zerocopy", 211, 20011)

    assert finding(recording, "zerocopy-ignored").why == "SO_ZEROCOPY is not set on the socket"


@pytest.mark.parametrize(("size", "expected"), [(1009, True), (20011, False)])
def test_zerocopy_sends_too_small_to_pay(tmp_path: Path, size: int, expected: bool) -> None:
    """All of 1009 B, none of 20011 B."""
    recording, _ = record(tmp_path, sys.executable, WAYS, "zerocopy", "recv", 211, size)

    assert ("zerocopy-too-small" in codes(recording)) is expected


@pytest.mark.parametrize(("way", "expected"), [("mixed", True), ("zerocopy", False)])
def test_packets_that_mix_copied_and_pinned_payload(tmp_path: Path, way: str, expected: bool) -> None:
    """A header by send, with MSG_MORE, and a body by MSG_ZEROCOPY."""
    recording, _ = record(tmp_path, sys.executable, WAYS, way, "recv", 23, 10007)

    assert ("mixed-packets" in codes(recording)) is expected


@pytest.mark.parametrize(("mistake", "expected"), [("nobody-reads", True), ("datagrams", False)])
def test_what_was_dropped_here(tmp_path: Path, mistake: str, expected: bool) -> None:
    """Datagrams for a socket that is full."""
    recording, _ = record(tmp_path, sys.executable, MISTAKES, mistake, 23, 10007)

    dropped = [one for one in recording.findings if one.code == "dropped-here"]
    assert bool(dropped) is expected
    if dropped:
        came = sum(socket.came.bytes for socket in recording.sockets)
        assert dropped[0].figures["came"] % 10007 == 0
        assert 0 < dropped[0].figures["came"] < came


@pytest.mark.parametrize(("asks", "expected"), [("silent", True), ("report", False)])
def test_io_uring_that_was_not_asked_to_report(tmp_path: Path, asks: str, expected: bool) -> None:
    """Over loopback all are copied; only with IORING_SEND_ZC_REPORT_USAGE do the notifications say so."""
    program = compiled("uring_sender", tmp_path, "-luring")
    recording, done = record(tmp_path, program, asks)

    assert done.stdout == ("0\n" if expected else "23\n")
    assert ("uring-unreported" in codes(recording)) is expected


@pytest.mark.parametrize(("mistake", "expected"), [("none", True), ("no-so-zerocopy", False)])
def test_where_the_flag_of_notifications_alone_tells(tmp_path: Path, mistake: str, expected: bool) -> None:
    """The other end is another program's: who copied, and how many bytes, this kernel does not show."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=take_all, args=(listener,), daemon=True).start()
        port = listener.getsockname()[1]
        recording, done = record(tmp_path, sys.executable, MISTAKES, mistake, 211, 20011, port)

    if recording.hooks.calls == "fexit":
        pytest.skip("functions can be probed here, and tell who copied")
    assert ("zerocopy-flagged" in codes(recording)) is expected
    if expected:
        assert finding(recording, "zerocopy-flagged").figures["of"] == json.loads(done.stdout)["calls"]


def take_all(listener: socket.socket) -> None:
    sock = listener.accept()[0]
    while sock.recv(1 << 18):
        pass
    sock.close()


def test_a_socket_that_moved_nothing(tmp_path: Path) -> None:
    """A connection that is refused; the programs above have no such finding."""
    program = "import contextlib, socket\nwith contextlib.suppress(OSError): socket.create_connection(('127.0.0.1', 1))"
    recording, _ = record(tmp_path, sys.executable, "-c", program)

    assert finding(recording, "unused-socket").figures == {"made": 1}


@pytest.mark.parametrize(("pays", "expected"), [(512, False), (4096, True)])
def test_what_pays_is_what_a_sweep_found_here(tmp_path: Path, pays: int, expected: bool) -> None:
    """In the cache, where a sweep keeps it: sends of 1009 B are too small, or are not."""
    cache = tmp_path / "cache/nettrace/thresholds.json"
    cache.parent.mkdir(parents=True)
    cache.write_text(json.dumps({"lo": {"bytes": pays, "source": "a sweep of this machine over lo"}}))
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    recording, _ = record(tmp_path, sys.executable, WAYS, "zerocopy", "recv", 211, 1009, env=environment)

    assert ("zerocopy-too-small" in codes(recording)) is expected
    if expected:
        assert "a sweep of this machine over lo" in finding(recording, "zerocopy-too-small").why


def test_a_reader_that_can_map_is_not_told_that_it_cannot(tmp_path: Path) -> None:
    """What was pinned and copied later lies in whole pages: some of them are mapped."""
    recording, done = record(tmp_path, compiled("mapped_reader", tmp_path), 211, 40960, "pinned")

    mapped, copied = map(int, done.stdout.split())
    assert mapped + copied == 211 * 40960
    assert mapped
    assert "nothing-mapped" not in codes(recording)


def test_a_reader_that_can_map_nothing(tmp_path: Path) -> None:
    """Copied payload lies in fragments that are no pages: as many bytes as the program itself says were copied."""
    recording, done = record(tmp_path, compiled("mapped_reader", tmp_path), 211, 1009)

    mapped, copied = map(int, done.stdout.split())
    assert (mapped, copied) == (0, 211 * 1009)
    assert finding(recording, "nothing-mapped").figures["bytes"] == copied
