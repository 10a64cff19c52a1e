"""perf stat around the bare pass, on this machine; and machines where it is missing or refuses."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import samples
from tests.command import Running, children, command_line, document, wait_until_gone
from tracer.books.cost_notes import complaint_of
from tracer.model import Counter
from tracer.observers.counters import Counters

pytestmark = pytest.mark.system

RECORDED = Path(__file__).parents[1] / "data/perf"
needs_perf = pytest.mark.skipif(shutil.which("perf") is None, reason="perf is not installed (Debian: linux-perf)")


def value_of(counters: list[Counter], event: str, scope: str) -> float | None:
    return next(one.value for one in counters if (one.event, one.scope) == (event, scope))


def counted_of(pid: int) -> list[Counter]:
    """What was counted of this process in a window that was open for no work at all."""
    with contextlib.closing(Counters(pid, None)) as counters:
        counters.enable()
        counters.disable()
        return counters.read(samples.workload())


@pytest.fixture
def sleeper() -> Iterator[int]:
    """A process to count."""
    process = subprocess.Popen(["sleep", "60"])
    yield process.pid
    process.kill()
    process.wait()


def fake_perf(directory: Path, script: str) -> None:
    """A perf in a PATH of its own."""
    program = directory / "perf"
    program.write_text(f"#!/bin/sh\n{script}")
    program.chmod(0o755)


@needs_perf
@pytest.mark.live
@pytest.mark.parametrize("mode", ["twocopy", "zerocopy"])
def test_the_senders_task_clock_is_its_cpu_time(mode: str) -> None:
    """The gate opens before the first byte and closes after the last: perf and the engine see the same work."""
    found = document(mode, "--counters", "--messages", 2003, "--size", 10007)
    counters = {(one["event"], one["scope"]): one for one in found["counters"]}
    engine = found["workload"]["sender_cpu_ns"]
    spent = engine["total"]

    assert counters["task-clock", "sender"]["source"] == "perf"
    # A sanity bound: perf sees the whole process, the engine its sending threads; neither sees twice as much.
    assert 0.5 * spent < counters["task-clock", "sender"]["value"] < 2 * spent + 20e6
    assert counters["task-clock", "receiver"]["value"] > 0
    assert counters["context-switches", "system"]["value"] >= counters["context-switches", "receiver"]["value"]
    assert counters["cycles", "sender"]["value"] > 0


@pytest.mark.live
def test_nobody_counts_unasked() -> None:
    """Counting slows the bare pass: it is bare unless asked otherwise."""
    found = document("onecopy", "--messages", 23, "--size", 10007)

    assert (found["counters"], found["profile"]) == ([], None)


@pytest.mark.live
def test_a_machine_without_perf_still_runs(tmp_path: Path) -> None:
    """The counters are stand-ins or None, a note says why, and the exit code is 0."""
    found = document("onecopy", "--counters", "--messages", 101, env={**os.environ, "PATH": str(tmp_path)})
    counters = {(one["event"], one["scope"]): one for one in found["counters"]}

    assert counters["context-switches", "sender"]["value"] is None
    assert "not installed" in counters["context-switches", "sender"]["note"]
    assert counters["task-clock", "sender"]["source"] == "thread-clock"
    assert any("perf is not installed" in note for note in found["notes"])


@needs_perf
def test_nothing_is_counted_before_the_window_opens(sleeper: int) -> None:
    """A process that only sleeps while the window is open has counted nothing: 0, or perf's "not counted"."""
    found = counted_of(sleeper)

    assert not value_of(found, "page-faults", "sender")
    assert {one.scope for one in found} == {"sender", "system"}


def test_a_refusal_is_told_in_perfs_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """perf_event_paranoid too high: no counter, the reason in each, no crash."""
    fake_perf(tmp_path, f"/bin/cat {RECORDED / 'paranoid.txt'} >&2\nexit 255\n")
    monkeypatch.setenv("PATH", str(tmp_path))

    found = counted_of(os.getpid())

    assert value_of(found, "context-switches", "system") is None
    assert "Access to performance monitoring" in (complaint_of(found) or "")


def test_a_perf_that_ignores_its_orders_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hung perf costs a deadline, not the run."""
    monkeypatch.setattr("tracer.observers.counters.START_DEADLINE_S", 0.2)
    monkeypatch.setattr("tracer.observers.counters.ANSWER_DEADLINE_S", 0.2)
    monkeypatch.setattr("tracer.observers.counters.END_DEADLINE_S", 0.2)
    # Its log is full of figures all the same.
    script = f"/bin/cat {RECORDED / 'pmu.json'} > /proc/self/fd/$4\ntrap '' INT\n"
    fake_perf(tmp_path, f"{script}exec {sys.executable} -c 'import signal; signal.pause()'\n")
    monkeypatch.setenv("PATH", str(tmp_path))

    found = counted_of(os.getpid())

    assert value_of(found, "context-switches", "sender") is None
    assert "did not enable its counters in time" in (complaint_of(found) or "")


@needs_perf
@pytest.mark.live
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is not installed (Debian: util-linux)")
def test_a_killed_nettrace_leaves_no_perf() -> None:
    """Nobody else would ever end the one that counts the whole system."""
    running = Running("run", "onecopy", "--counters", "--duration", 60)
    running.wait_for("bare pass")
    perfs = [pid for pid in children(running.pid) if "perf stat" in command_line(pid)]

    running.process.kill()
    running.finish()

    assert len(perfs) == 3
    wait_until_gone(perfs)


def test_closing_twice_is_harmless() -> None:
    """An interrupt may come at any time."""
    counters = Counters(os.getpid(), None)
    counters.close()
    counters.close()


def test_what_was_counted_needs_no_note() -> None:
    """A note is for a scope that perf counted nothing of."""
    counted = Counter(event="context-switches", scope="sender", value=3, source="perf")
    absent = Counter(event="instructions", scope="sender", value=None, source="none", note="not supported")

    assert complaint_of([counted, absent]) is None
    assert complaint_of([absent]) == "no counters of sender: not supported"
    assert complaint_of([]) is None
