"""Kprobes: as many calls at once as there are threads, and what is missed is told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kprobe_guest import record_by_kprobes
from tracer.books.ledger import ledger_of
from tracer.lab import opening
from tracer.lab.guest import Guest
from tracer.model import Experiment
from tracer.observers.kprobes import read_misses
from tracer.runs import warming

SIZE, MESSAGES, THREADS = 10007, 23, 64
PROFILE = """\
  nettrace_7_9_k0_bcc_7                                        4711              13
  nettrace_7_9_k1_bcc_7                                           0               0
"""


def test_misses_are_the_third_column_of_the_event() -> None:
    """None for an event that is not there: an event of perf's own is in no profile."""
    assert read_misses(PROFILE, "nettrace_7_9_k0_bcc_7") == 13
    assert read_misses(PROFILE, "nettrace_7_9_k1_bcc_7") == 0
    assert read_misses(PROFILE, "nettrace_7_9_k2_bcc_7") is None


@pytest.fixture
def guest() -> Iterator[Guest]:
    with opening.guest(warming.wanted("6.12", least=warming.EXEC), print) as one:
        yield one


def events_left(guest: Guest) -> str:
    found = bytearray()
    guest.run(["cat", "/sys/kernel/tracing/kprobe_events"], stdout=found.extend)
    return found.decode()


@pytest.mark.lab
def test_the_returns_of_64_sleeping_calls_are_all_seen(guest: Guest) -> None:
    """Ten instances, the kernel's own choice, saw a quarter of the bytes that came, and lost "nothing".

    No trace event stays behind in a guest whose processes leave their probes to the kernel.
    """
    found = record_by_kprobes(Experiment(mode="onecopy", size=SIZE, messages=MESSAGES, threads=THREADS), guest)
    (observation,) = found.observations

    assert observation.attached["tcp_recvmsg_locked"] == "kprobe"
    assert observation.tallies["tcp_recvmsg_locked:return"].bytes == SIZE * MESSAGES * THREADS
    assert observation.tallies["tcp_sendmsg_locked:return"].bytes == SIZE * MESSAGES * THREADS
    assert observation.lost is not None
    assert events_left(guest) == ""


@pytest.mark.lab
def test_returns_that_found_no_room_are_lost_events(guest: Guest) -> None:
    """One instance for 64 readers that sleep: the kernel counts those that it passed over, and the books are broken."""
    experiment = Experiment(mode="onecopy", size=SIZE, messages=MESSAGES, threads=THREADS)
    found = record_by_kprobes(experiment, guest, instances=1)
    (observation,) = found.observations

    assert observation.tallies["tcp_recvmsg_locked:return"].bytes < SIZE * MESSAGES * THREADS
    assert observation.lost
    assert not ledger_of(found).trustworthy
