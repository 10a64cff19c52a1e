"""The runner: where it works, what it sends by default, and the observed pass, done again where probes were skipped."""

from __future__ import annotations

import contextlib

import pytest

from tests.samples import workload
from tracer.model import Experiment, Observation
from tracer.runs.dispatch import record
from tracer.runs.passes import Passes
from tracer.runs.runner import default_messages
from tracer.runs.runner import record as record_here

ONE = Experiment(mode="onecopy", size=16384, messages=1)


class Meters:
    """Count nothing."""

    sampler = None

    def window(self):
        return contextlib.nullcontext()

    def read_counters(self, _):
        return []


class Subject:
    """Does each pass at once; the user interrupts one of them."""

    stuck = None

    def engine(self):
        return None

    def __init__(self, interrupted=None):
        self.interrupted = interrupted
        self.passes = 0

    def prepare(self, *_):
        self.passes += 1

    def stop(self):
        return None

    def release(self):
        if self.passes == self.interrupted:
            raise KeyboardInterrupt

    def wait(self):
        return workload("onecopy")


class Observer:
    """Loses what it is told, pass by pass."""

    name = "functions"
    watched = None

    def __init__(self, *lost):
        self.lost = list(lost)
        self.attached = 0

    def attach(self):
        self.attached += 1

    def detach(self):
        return Observation(observer=self.name, tallies={}, lost=self.lost.pop(0))

    def close(self):
        pass


def done(*observers, interrupted=None, broken=()):
    """broken: The laws that each observed pass breaks."""
    heard, judged = [], list(broken)
    passes = Passes(ONE, Subject(interrupted), heard.append)
    passes.prepare()
    passes.run(list(observers), Meters(), lambda: judged.pop(0) if judged else [])
    return passes, heard


def test_a_pass_that_lost_nothing_is_the_only_one():
    """Nothing to repeat."""
    passes, heard = done(Observer(0))

    assert (passes.observations[0].lost, passes.attempts, passes.complete) == (0, 1, True)
    assert heard == ["bare pass: time and CPU, nothing attached", "observed pass: bytes, at functions"]


def test_a_pass_that_lost_events_is_done_again():
    """The second one counts, and the user is told."""
    passes, heard = done(Observer(2, 0))

    assert (passes.observations[0].lost, passes.attempts, passes.complete) == (0, 2, True)
    assert heard[2:] == ["observed pass once more: 2 events were lost"]


def test_what_is_lost_every_time_stays_lost():
    """Five passes and no more: then the run is untrustworthy, and says so."""
    passes, _ = done(observer := Observer(1, 1, 1, 1, 7))

    assert (passes.observations[0].lost, passes.attempts, observer.attached) == (7, 5, 5)


def test_a_pass_whose_books_do_not_balance_is_done_again():
    """The kernel may have passed over a probe without counting it; then they balance, and the user is told."""
    passes, heard = done(Observer(0, 0), broken=[["T.L3", "T.L6"], []])

    assert (passes.attempts, passes.complete) == (2, True)
    assert heard[2:] == ["observed pass once more: T.L3, T.L6 do not hold"]


def test_a_law_that_is_broken_twice_is_broken():
    """It is no bad luck, and nothing hides it."""
    assert done(observer := Observer(0, 0), broken=[["T.L3"], ["T.L3"]])[0].attempts == 2
    assert observer.attached == 2


def test_what_the_kernel_does_not_count_is_no_reason_to_repeat():
    """Unknown is not lost."""
    assert done(Observer(None))[0].attempts == 1


def test_without_an_observer_there_is_no_observed_pass():
    """A run of a sweep after its first repetition."""
    passes, _ = done()

    assert (passes.observed, passes.attempts, passes.complete) == (None, 0, True)
    assert passes.bare is not None


def test_an_interrupted_bare_pass_is_the_last_one():
    """Nothing is observed that has no time to compare with."""
    passes, _ = done(observer := Observer(0), interrupted=1)

    assert (passes.bare, passes.complete, observer.attached) == (None, False, 0)


def test_an_interrupt_in_the_observed_pass_leaves_the_bare_one():
    """What was measured until then is the result, and says that it is a part."""
    passes, _ = done(Observer(0, 0), interrupted=2)

    assert passes.bare is not None
    assert (passes.observed, passes.complete) == (None, False)


def test_this_machine_is_not_the_lab():
    """An experiment of the lab that went astray must not be measured here; only the dispatcher decides."""
    with pytest.raises(ValueError, match=r"not the lab's kernel 6\.12"):
        record_here(Experiment(mode="onecopy", size=1, lab="6.12"), print)


@pytest.mark.parametrize(("lab", "where"), [(None, "runner"), ("6.12", "in_lab")])
def test_one_dispatcher_decides_where_an_experiment_is_done(monkeypatch, lab, where):
    """By what the experiment says, and with all that was asked for."""
    calls = []

    def called(experiment, _progress, **asked):
        calls.append((experiment, asked))

    monkeypatch.setattr(f"tracer.runs.{where}.record", called)
    experiment = Experiment(mode="onecopy", size=1, lab=lab)
    record(experiment, print, port=7, observed=False)

    assert calls == [(experiment, {"port": 7, "observed": False})]


@pytest.mark.parametrize(
    ("size", "threads", "messages"),
    [(16384, 1, 8192), (1, 1, 50_000), (16 << 20, 1, 16), (16 << 20, 64, 16), (65536, 3, 682)],
)
def test_a_run_has_something_to_send_on_each_connection(size, threads, messages):
    """Some 128 MiB in all, and 16 messages at least."""
    assert default_messages(size, threads) == messages
