"""Kernel TLS: exact at the calls; with what its records add, as its own context says, TCP's books agree with these.

One guest a kernel runs its programs one after the other; each has its rows, by its pid.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from tests.command import ROOT
from tests.record.test_lab import Recorded, by_way, record_all, rows_of, told
from tracer.books.skipped_calls import uncounted_calls
from tracer.books.socket_laws import laws_of
from tracer.model import LawState
from tracer.model.sockets import Tls

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1500)]

PROGRAM = ROOT / "tests/programs/ktls.py"
CALLS, SIZE = 53, 10007
# A header of 5, a nonce of 8 or a type of 1, a tag of 16. No call here is longer than a record.
TOLD = {"1.2": ("AES-GCM-128", 29), "1.3": ("AES-GCM-256", 22)}
CASES = [
    ("6.1", "sendfile", "splice", "1.2"),
    ("6.1", "send", "recv", "1.3"),
    ("6.12", "send", "recv", "1.2"),
    ("6.12", "sendfile", "splice", "1.2"),
    ("6.12", "sendfile", "recv", "1.3"),
    ("7.2", "send", "splice", "1.2"),
]


def of_kernel(kernel: str) -> list[tuple[str, ...]]:
    return [case for case in CASES if case[0] == kernel]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Recorded]:
    """Of a kernel: its cases."""

    @cache
    def of(kernel: str) -> Recorded:
        programs = [(PROGRAM, way, read, CALLS, SIZE, version) for _, way, read, version in of_kernel(kernel)]
        return record_all(tmp_path_factory.mktemp("recorded"), kernel, programs)

    return of


@pytest.mark.parametrize(("kernel", "way", "read", "version"), CASES)
def test_bytes_by_way_are_what_the_program_counted(
    recorded: Callable[[str], Recorded], kernel: str, way: str, read: str, version: str
) -> None:
    """Sent and read in the way of the call, the clear line before it too; the packets are records."""
    recording, answers = recorded(kernel)
    pid, said = answers[of_kernel(kernel).index((kernel, way, read, version))]
    rows, (cipher, adds) = rows_of(recording, pid), TOLD[version]

    assert by_way(rows) == told(said)
    left = sum(socket.left.bytes - socket.left.again for socket in rows)
    assert left == sum(socket.sent_bytes for socket in rows) + CALLS * adds
    assert {socket.above for socket in rows} == {"ulp"}
    states = {(law.id, law.state) for socket in rows for law in laws_of(socket)}
    assert states == {(law, LawState.HOLDS) for law in ("S1", "S2", "S3", "S4", "R1", "R2")}
    sending = next(socket for socket in rows if socket.sent)
    assert sending.tls == Tls(version=version, cipher=cipher, record_adds=adds, records_sent=CALLS)


@pytest.mark.parametrize("kernel", sorted({kernel for kernel, *_ in CASES}))
def test_it_is_said_that_the_kernel_encrypts(recorded: Callable[[str], Recorded], kernel: str) -> None:
    """And nothing was missed; what belongs to no program is nothing."""
    recording, _ = recorded(kernel)

    assert "encrypted-in-kernel" in [finding.code for finding in recording.findings]
    assert by_way([recording.totals]) == by_way(recording.sockets)
    assert (recording.lost, uncounted_calls(recording)) == (0, 0)
