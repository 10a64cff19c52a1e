"""A receiver that is stopped for good: Ctrl-C is obeyed, and without it the run ends with what it has."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from tests.command import IN_THE_CLEAR, Running, remains_of, wait_until_gone

pytestmark = pytest.mark.live


def stopped_run(mode: str) -> tuple[Running, list[int]]:
    """A run whose receiver has just been stopped, and its workers."""
    running = Running("run", mode, "--duration", 60)
    running.wait_for("bare pass")
    running.wait_until_moving()
    workers = running.workers()
    os.kill(running.receiver(), signal.SIGSTOP)
    return running, workers


@pytest.fixture(scope="module")
def left_alone() -> Iterator[tuple[Running, list[int]]]:
    """One that nobody interrupts: the other tests go on while it waits for its deadline."""
    running, workers = stopped_run("onecopy")
    yield running, workers
    if running.process.poll() is None:
        running.process.terminate()
        running.finish()


@pytest.mark.usefixtures("left_alone")
@pytest.mark.parametrize("mode", IN_THE_CLEAR)
def test_an_interrupt_does_not_wait_for_a_stopped_receiver(mode: str) -> None:
    """Exit code 130, nothing left: not even the process that no SIGTERM could end."""
    running, workers = stopped_run(mode)
    running.process.send_signal(signal.SIGINT)
    code, _, _ = running.finish()

    assert code == 130
    assert remains_of(running.pid) == []
    wait_until_gone(workers)


def test_a_run_in_which_nothing_moves_ends_with_what_was_measured(left_alone: tuple[Running, list[int]]) -> None:
    """Exit code 4, a partial report, the deadline and who does not move; nothing left."""
    running, workers = left_alone
    code, output, _ = running.finish()

    assert code == 4
    assert output.startswith("PARTIAL (given up): onecopy")
    assert "nothing has moved for 10 s: the receiver's process is stopped" in " ".join(output.split())
    assert "time per message, sender" in output
    assert remains_of(running.pid) == []
    wait_until_gone(workers)


@pytest.mark.parametrize("mode", ["zerocopy", "uring-zerocopy"])
def test_a_window_below_a_segment_is_said_and_a_duration_ends_all_the_same(mode: str) -> None:
    """TCP would send what is queued for minutes, a piece each time its persist timer runs."""
    running = Running("run", mode, "--size", 10007, "--rcvbuf", 2304, "--duration", 0.1)
    code, output, errors = running.finish()

    assert code == 4
    assert output.startswith(f"PARTIAL (given up): {mode}")
    assert "nettrace: the receiver's window is smaller than a segment" in errors
    assert "stuck: the receiver's window is smaller than a segment" in " ".join(output.split())
    assert remains_of(running.pid) == []
