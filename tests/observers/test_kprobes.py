"""Kprobes: as many calls at once as there are threads, and what is missed is told."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from tests.kprobe_guest import record_by_kprobes
from tracer.books.analysis import document_of
from tracer.books.ledger import ledger_of
from tracer.lab import opening
from tracer.model import Experiment, LawState, Recording, Stage
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


class Recorded(NamedTuple):
    """What one guest did, by kprobes.

    Args:
        crowded: 64 connections, and room for what they do.
        cramped: The same with one instance of each return probe.
        looped: Zero-copy over loopback.
        events: Trace events that were there in the end.
    """

    crowded: Recording
    cramped: Recording
    looped: Recording
    events: str


@pytest.fixture(scope="module")
def recorded() -> Recorded:
    crowd = Experiment(mode="onecopy", size=SIZE, messages=MESSAGES, threads=THREADS)
    loop = Experiment(mode="zerocopy", size=SIZE, messages=MESSAGES)
    with opening.guest(warming.wanted("6.12", least=warming.EXEC), print) as guest:
        recordings, events = record_by_kprobes(guest, [(None, crowd), (1, crowd), (None, loop)])
    return Recorded(*recordings, events)


@pytest.mark.lab
def test_the_returns_of_64_sleeping_calls_are_all_seen(recorded: Recorded) -> None:
    """Ten instances, the kernel's own choice, saw a quarter of the bytes that came, and lost "nothing".

    No trace event stays behind in a guest whose processes leave their probes to the kernel.
    """
    (observation,) = recorded.crowded.observations

    assert observation.attached["tcp_recvmsg_locked"] == "kprobe"
    assert observation.tallies["tcp_recvmsg_locked:return"].bytes == SIZE * MESSAGES * THREADS
    assert observation.tallies["tcp_sendmsg_locked:return"].bytes == SIZE * MESSAGES * THREADS
    assert observation.lost is not None
    assert recorded.events == ""


@pytest.mark.lab
def test_returns_that_found_no_room_are_lost_events(recorded: Recorded) -> None:
    """One instance for 64 readers that sleep: the kernel counts those that it passed over, and the books are broken."""
    (observation,) = recorded.cramped.observations

    assert observation.tallies["tcp_recvmsg_locked:return"].bytes < SIZE * MESSAGES * THREADS
    assert observation.lost
    assert not ledger_of(recorded.cramped).trustworthy


@pytest.mark.lab
def test_kprobes_count_what_fentry_counts(recorded: Recorded) -> None:
    """The fallback's shells read other registers, and give the same ledger."""
    document = document_of(recorded.looped)

    assert document.observations[0].attached["skb_copy_ubufs"] == "kprobe"
    assert {law.state for law in document.ledger.laws} == {LawState.HOLDS}
    again = document.ledger.retransmitted_bytes or 0
    assert document.ledger.bytes_of(Stage.DEFERRED_COPY) == SIZE * MESSAGES + again
    assert document.verdict.code == "copied-by-loopback"
