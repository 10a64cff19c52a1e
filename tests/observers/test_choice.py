"""Observers that are started together."""

from __future__ import annotations

from typing import ClassVar

import pytest

from tracer.errors import MachineError
from tracer.model import ObserverChoice
from tracer.observers import choice
from tracer.observers.choice import start_observers


class Started:
    """An observer; which ones were closed is remembered."""

    closed: ClassVar[list[str]] = []

    def __init__(self, name: str) -> None:
        if name == "tracepoints":
            raise MachineError("the second one cannot be compiled")
        self.name = name

    def close(self) -> None:
        self.closed.append(self.name)


def test_one_that_cannot_be_started_leaves_none_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds programs and maps of the kernel's, and not every process ends with its run."""
    monkeypatch.setattr(choice, "require_bcc", lambda: None)
    monkeypatch.setattr(choice, "why_no_functions", lambda: None)
    monkeypatch.setattr(choice, "_start", lambda name, *_: Started(name))

    with pytest.raises(MachineError):
        start_observers(ObserverChoice.ALL, lambda: None, stacks=False)

    assert Started.closed == ["functions"]
