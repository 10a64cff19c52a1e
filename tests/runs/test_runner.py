"""The observed pass: done again where the kernel skipped a probe."""

from __future__ import annotations

from tests.samples import workload
from tracer.model import Observation
from tracer.runs.runner import _observe_pass


class Workers:
    """Does each pass at once."""

    stuck = None

    def prepare(self, *_):
        pass

    def release(self):
        pass

    def collect(self):
        return workload("onecopy")


class Observer:
    """Loses what it is told, pass by pass."""

    name = "functions"

    def __init__(self, *lost):
        self.lost = list(lost)
        self.attached = 0

    def attach(self):
        self.attached += 1

    def detach(self):
        return Observation(observer=self.name, tallies={}, lost=self.lost.pop(0))

    def close(self):
        pass


def observed(observer):
    heard = []
    _, observations, finished, attempts = _observe_pass(Workers(), [observer], 1, heard.append)
    assert attempts == observer.attached
    return observations[0].lost, finished, heard


def test_a_pass_that_lost_nothing_is_the_only_one():
    """Nothing to repeat."""
    observer = Observer(0)

    assert observed(observer) == (0, True, [])
    assert observer.attached == 1


def test_a_pass_that_lost_events_is_done_again():
    """The second one counts, and the user is told."""
    assert observed(Observer(2, 0)) == (0, True, ["observed pass once more: 2 events were lost"])


def test_what_is_lost_every_time_stays_lost():
    """Five passes and no more: then the run is untrustworthy, and says so."""
    observer = Observer(1, 1, 1, 1, 7)

    assert observed(observer)[0] == 7
    assert observer.attached == 5


def test_what_the_kernel_does_not_count_is_no_reason_to_repeat():
    """Unknown is not lost."""
    assert observed(Observer(None)) == (None, True, [])
