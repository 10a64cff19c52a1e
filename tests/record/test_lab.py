"""The same programs, under the kernels that people run: functions can be probed there, and are.

One guest a kernel and question runs them one after the other; each has its rows, by its pid.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.command import LAB_DEADLINE_S, ROOT
from tests.record.test_ways import CALLS, PROGRAM, SIZE, broken_laws, record
from tracer.books.later_copies import LaterCopies
from tracer.books.skipped_calls import uncounted_calls
from tracer.model.socket_recording import SocketRecording
from tracer.model.sockets import READ_WAYS, SEND_WAYS, Moved, Socket

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1500)]

KERNELS = ["6.1", "6.12", "7.2"]
SPLICED_OUT = ROOT / "tests/programs/spliced_out.py"
OTHERS = [
    ("sendfile", "recv", "6", "tcp"),
    ("splice", "splice_out", "4", "tcp"),
    ("zerocopy", "recv", "4", "udp"),
    ("zerocopy", "discard", "4", "tcp"),
]
# MPTCP has a splice_read of its own by 7.2; where a protocol has none, the kernel receives and fills the pipe.
OTHER_PROTOCOLS = {"6.1": {"udp": "copy"}, "6.12": {"udp": "copy", "mptcp": "copy"}, "7.2": {"mptcp": "splice"}}
# Each says which process it is, becomes the program, and that says what it did.
RUN = 'set -e; for program; do sh -c "echo \\$\\$; exec $program"; done'

Answer = tuple[int, Any]
Recorded = tuple[SocketRecording, list[Answer]]


def record_all(directory: Path, kernel: str, programs: Iterable[Sequence[object]], *options: str) -> Recorded:
    """What these programs did one after the other, and what each has counted itself, beside its pid."""
    lines = [" ".join(map(str, (sys.executable, *program))) for program in programs]
    asked = {"options": ("--lab", kernel, *options), "most_s": LAB_DEADLINE_S}
    recording, done = record(directory, "sh", "-c", RUN, "sh", *lines, **asked)
    assert done.returncode == 0, done.stderr
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(said) == 2 * len(lines)
    return recording, list(zip(said[::2], said[1::2], strict=True))


def rows_of(recording: SocketRecording, pid: int) -> list[Socket]:
    return [socket for socket in recording.sockets if pid in socket.pids]


def by_way(moved: Iterable[Moved]) -> tuple[Counter[str], Counter[str]]:
    """Bytes sent and read."""
    sent, read = Counter[str](), Counter[str]()
    for one in moved:
        sent.update({way: transfer.bytes for way, transfer in one.sent.items()})
        read.update({way: transfer.bytes for way, transfer in one.read.items()})
    return sent, read


def told(said: dict[str, int]) -> tuple[Counter[str], Counter[str]]:
    """The same, as a program counted it."""
    return (
        Counter({way: said[way] for way in SEND_WAYS if said.get(way)}),
        Counter({way: said[f"read_{way}"] for way in READ_WAYS if said.get(f"read_{way}")}),
    )


def copied_later(moved: Iterable[Socket]) -> tuple[int, int]:
    """By the functions that do it; and by packets: loopback copies each that holds pinned pages, whole, each time."""
    sockets = list(moved)
    copies = sum(copy.bytes for socket in sockets for copy in socket.deferred or ())
    return copies, sum(socket.left.zerocopy + socket.left.mixed for socket in sockets)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Recorded]:
    """Of a kernel: the program that mixes two ways, and those that splice out of other protocols."""

    @cache
    def of(kernel: str) -> Recorded:
        programs = [(PROGRAM, "mixed", "recv", CALLS, SIZE), *((SPLICED_OUT, kind) for kind in OTHER_PROTOCOLS[kernel])]
        return record_all(tmp_path_factory.mktemp("recorded"), kernel, programs)

    return of


@pytest.mark.parametrize("kernel", KERNELS)
def test_bytes_by_way_are_what_the_program_counted(recorded: Callable[[str], Recorded], kernel: str) -> None:
    """Header copied and body pinned, told apart by the call; where and how much was copied later, by the function."""
    recording, [(pid, said), *_] = recorded(kernel)
    rows = rows_of(recording, pid)
    copies, pinned = copied_later(rows)

    assert recording.hooks.calls == "fexit"
    assert by_way(rows) == told(said)
    assert copies == pinned > 0
    left = recording.totals.left
    assert sum(copy.bytes for copy in recording.totals.deferred or ()) == left.zerocopy + left.mixed == pinned
    assert broken_laws(msgspec.structs.replace(recording, sockets=rows)) == []
    assert (recording.lost, uncounted_calls(recording)) == (0, 0)


@pytest.mark.parametrize("kernel", KERNELS)
def test_other_ways_too(tmp_path: Path, kernel: str) -> None:
    """Pages of a file, of a pipe, datagrams, bytes that are thrown away; with the other ends' programs attached."""
    programs = [(PROGRAM, way, read, CALLS, SIZE, family, kind) for way, read, family, kind in OTHERS]
    recording, answers = record_all(tmp_path, kernel, programs, "--peers")

    for (way, *_), (pid, said) in zip(OTHERS, answers, strict=True):
        rows = rows_of(recording, pid)
        copies, pinned = copied_later(rows)
        assert by_way(rows) == told(said)
        assert (copies > 0) is (way == "zerocopy")
        assert copies == pinned
    assert by_way([recording.totals]) == by_way(recording.sockets)
    named = LaterCopies(recording).named
    assert {named(copy.caller).partition(" (")[0] for copy in recording.totals.deferred or ()} == {"local delivery"}
    assert broken_laws(recording) == []
    assert (recording.lost, uncounted_calls(recording), recording.peers) == (0, 0, [])


@pytest.mark.parametrize("kernel", KERNELS)
def test_what_is_spliced_out_of_another_protocol_is_counted_once(
    recorded: Callable[[str], Recorded], kernel: str
) -> None:
    """As it was read: spliced where the protocol splices, copied where it receives."""
    recording, [_, *answers] = recorded(kernel)

    for way, (pid, said) in zip(OTHER_PROTOCOLS[kernel].values(), answers, strict=True):
        assert said == 7 * 1009
        assert by_way(rows_of(recording, pid))[1] == {way: said}
    assert by_way([recording.totals])[1] == sum((by_way([one])[1] for one in recording.sockets), Counter())
    assert recording.lost == 0
