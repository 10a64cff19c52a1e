"""An event on each CPU that is online, at which a program runs."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from tracer.machine.kernel.bpf_trial import run_at


class CpuEvents:
    """From open() to close().

    Args:
        opened: Descriptor of a disabled event of this CPU.
    """

    def __init__(self, opened: Callable[[int], int]) -> None:
        self._opened = opened
        self._events: list[int] = []

    def open(self, program: int) -> None:
        """Have a program run at each of them, from now on.

        Raises:
            OSError: the kernel refuses; close() takes back what it did not.
        """
        for cpu in _online_cpus():
            self._events.append(self._opened(cpu))
            run_at(self._events[-1], program)

    def close(self) -> None:
        """End them; safe to call twice."""
        while self._events:
            os.close(self._events.pop())


def _online_cpus() -> list[int]:
    """From a list such as "0-3,5"."""
    parts = Path("/sys/devices/system/cpu/online").read_text().strip().split(",")
    ends = [[int(end) for end in part.split("-")] for part in parts]
    return [cpu for first, *last in ends for cpu in range(first, (last or [first])[0] + 1)]
