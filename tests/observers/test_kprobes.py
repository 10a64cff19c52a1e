"""Kprobes: as many calls at once as there are threads, and what is missed is told."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tracer.books.recording import decode
from tracer.lab import machine
from tracer.lab.guest import guest_for, least_environment
from tracer.model import Experiment, Recording
from tracer.observers.kprobes import read_misses
from tracer.runs.in_guest import Order

ROOT = Path(__file__).parents[2]
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
def lab() -> Iterator[None]:
    yield
    machine.stop()


def record_by_kprobes(experiment: Experiment, kernel: str) -> Recording:
    """In the guest, whose kernel could do fentry as well."""
    code = (
        "import tracer.runs.in_guest as inside, tracer.observers.functions as functions\n"
        "text = functions.KernelText.of_running_kernel(allow_fentry=False)\n"
        "functions.KernelText.of_running_kernel = lambda: text\n"
        "raise SystemExit(inside.main())"
    )
    answer = bytearray()
    guest_for(kernel).run(
        [sys.executable, "-c", code], ROOT, least_environment() | {"NETTRACE_LAB": kernel}, reads=(),
        stdin=msgspec.json.encode(Order(experiment=experiment)), stdout=answer.extend,
    )  # fmt: skip
    return decode(bytes(answer))


@pytest.mark.lab
@pytest.mark.usefixtures("lab")
def test_the_returns_of_64_sleeping_calls_are_all_seen() -> None:
    """Ten instances, the kernel's own choice, saw a quarter of the bytes that came, and lost "nothing"."""
    found = record_by_kprobes(Experiment(mode="onecopy", size=SIZE, messages=MESSAGES, threads=THREADS), "6.12")
    (observation,) = found.observations

    assert observation.attached["tcp_recvmsg_locked"] == "kprobe"
    assert observation.tallies["tcp_recvmsg_locked:return"].bytes == SIZE * MESSAGES * THREADS
    assert observation.tallies["tcp_sendmsg_locked:return"].bytes == SIZE * MESSAGES * THREADS
    assert observation.lost is not None
