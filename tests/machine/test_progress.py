"""The one deadline of a pass."""

from __future__ import annotations

import time

import pytest

from tracer.machine.progress import Progress

FIRST = {
    "bytes": 10, "bytes_acked": 10, "completions": 0, "unacked": 1, "notsent_bytes": 0, "closed_windows": 0,
    "outstanding": 0,
}  # fmt: skip


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, to be set."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize("moved", [{"bytes": 11}, {"bytes_acked": 11}, {"completions": 1}])
def test_whatever_moves_puts_the_deadline_off(moved: dict[str, int], clock: list[float]) -> None:
    """Bytes, acknowledgements or completions: a slow pass is not a stuck one."""
    progress = Progress(10.0)
    progress.note("sender", FIRST)
    clock[0] = 109.0
    progress.note("sender", FIRST | moved)

    assert progress.until == 119.0


def test_a_pulse_without_progress_puts_nothing_off(clock: list[float]) -> None:
    """A process that runs and says the same again is stuck; what is merely sent again is no progress."""
    progress = Progress(10.0)
    progress.note("receiver", {"bytes": 5})
    progress.note("sender", FIRST)
    clock[0] = 109.0
    progress.note("sender", FIRST | {"unacked": 7})
    progress.note("receiver", {"bytes": 5})

    assert progress.until == 110.0


@pytest.mark.usefixtures("clock")
def test_several_pulses_come_before_the_deadline() -> None:
    """One that is late is no reason to give up."""
    assert Progress(10.0).pulse_s == 1.0
    assert Progress(2.0).pulse_s == 0.2
    assert Progress(3600.0).pulse_s == 1.0


def test_a_crawl_shows_in_several_pulses() -> None:
    """One may have come while the peer was held up."""
    progress, crawling = Progress(10.0), []
    progress.note("receiver", {"bytes": 2_000})
    for acked in (0, 1_000, 2_000, 300_000):
        narrow = {"bytes_acked": acked, "closed_windows": 1, "window": 576, "segment": 1_152}
        progress.note("sender", FIRST | narrow)
        crawling.append(progress.is_crawling)

    assert crawling == [False, False, True, False]


@pytest.mark.parametrize(
    ("changed", "unnotified"),
    [({}, True), ({"completions": 1}, False), ({"unacked": 1}, False), ({"outstanding": 0}, False)],
)
def test_notifications_that_do_not_come_show_when_all_else_has(changed: dict[str, int], unnotified: bool) -> None:
    """A packet that is left to a CPU which receives nothing: not one that is on its way, and not at once."""
    progress, sent = Progress(10.0), FIRST | {"unacked": 0, "outstanding": 1}
    progress.note("sender", sent)

    assert not progress.is_unnotified

    progress.note("receiver", {"bytes": 10})
    progress.note("sender", sent | changed)

    assert progress.is_unnotified is unnotified
