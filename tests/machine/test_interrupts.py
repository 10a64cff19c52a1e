"""SIGINT and SIGTERM: raised once, and never lost."""

from __future__ import annotations

import ctypes
import functools
import operator
import os
import select
import signal
import sys
from collections.abc import Iterator

import pytest

from tracer.machine.interrupts import Interrupts

pytestmark = pytest.mark.system


@pytest.fixture
def interrupts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Interrupts]:
    """Installed for the time of a test; what was swallowed comes again when no test waits any longer."""
    monkeypatch.setattr("tracer.machine.interrupts._SOON_S", 600.0)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)}
    hook = sys.unraisablehook
    found = Interrupts()
    found.install()
    yield found
    signal.setitimer(signal.ITIMER_REAL, 0)
    sys.unraisablehook = hook
    for number, handler in before.items():
        signal.signal(number, handler)
    assert found.wake is not None
    os.close(signal.set_wakeup_fd(-1))
    os.close(found.wake)


def send(number: int = signal.SIGINT) -> None:
    signal.raise_signal(number)


def is_readable(descriptor: int | None) -> bool:
    assert descriptor is not None
    return bool(select.select([descriptor], [], [], 0)[0])


class Swallows:
    """Python ignores what is raised in a __del__."""

    def __del__(self) -> None:
        send()


def swallow_and_wait() -> None:
    Swallows()
    while True:
        signal.pause()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_raises(interrupts, number):
    """And wakes whoever waits."""
    assert not is_readable(interrupts.wake)

    with pytest.raises(KeyboardInterrupt):
        send(number)

    assert is_readable(interrupts.wake)


def test_a_signal_just_before_a_wait_ends_it(interrupts):
    """No call is interrupted, and Python has run no handler yet: the descriptor alone says so."""
    interrupts.hold()
    arrives = functools.partial(ctypes.CDLL(None)["raise"], signal.SIGINT)
    waits = functools.partial(select.select, [interrupts.wake], [], [], 0)

    # One bytecode: handlers run between two of them.
    _, (readable, _, _) = map(operator.call, (arrives, waits))

    assert readable == [interrupts.wake]


@pytest.mark.usefixtures("interrupts")
def test_a_second_signal_does_not_cut_the_undoing_short():
    """An impatient user."""
    with pytest.raises(KeyboardInterrupt):
        send()

    send()
    send(signal.SIGTERM)


def test_a_swallowed_interrupt_is_found_by_who_looks(interrupts):
    """Raised inside a __del__, and ignored by Python: the next look raises it, the descriptor is readable."""
    Swallows()

    assert is_readable(interrupts.wake)
    with pytest.raises(KeyboardInterrupt):
        interrupts.look()


@pytest.mark.usefixtures("interrupts")
def test_a_swallowed_interrupt_comes_again(monkeypatch):
    """Where nobody looks, it is raised once more, outside of what swallowed it."""
    monkeypatch.setattr("tracer.machine.interrupts._SOON_S", 0.001)

    with pytest.raises(KeyboardInterrupt):
        swallow_and_wait()


@pytest.mark.usefixtures("interrupts")
def test_after_a_swallowed_interrupt_the_next_signal_raises_again():
    """An impatient user need not wait even for that."""
    Swallows()

    with pytest.raises(KeyboardInterrupt):
        send()


def test_nothing_is_raised_while_something_is_undone(interrupts):
    """hold() remembers, look() tells."""
    interrupts.hold()
    send()
    interrupts.resume()

    with pytest.raises(KeyboardInterrupt):
        interrupts.look()


def test_after_an_undisturbed_undoing_signals_raise_again(interrupts):
    """A sweep does many runs."""
    interrupts.hold()
    interrupts.resume()
    interrupts.look()

    with pytest.raises(KeyboardInterrupt):
        send()


@pytest.mark.usefixtures("interrupts")
def test_another_exception_in_a_del_is_reported_as_ever(capsys):
    """Only interrupts are ours."""

    class Broken:
        def __del__(self) -> None:
            raise ValueError("told")

    Broken()

    assert "told" in capsys.readouterr().err
