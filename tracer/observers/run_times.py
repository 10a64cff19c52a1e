"""When the kernel counts how often and how long programs run (BPF_ENABLE_STATS): what the watching itself takes.

Counting costs some 50 ns a run, as much as a small program: it is done for a tenth of the time.
"""

from __future__ import annotations

import ctypes
import math
import os
import time

from tracer.machine.kernel.libbpf import libbpf

_STATS_RUN_TIME = 0
_OPEN_S, _EVERY_S = 0.02, 0.2


class RunTimes:
    """Opens its window when tick() is called at the right time; the first one at once."""

    def __init__(self) -> None:
        self._statistics: int | None = None
        self._turn_at = 0.0
        self._opened_at = 0.0
        self.refused: str | None = None
        self.open_s = 0.0

    def tick(self) -> None:
        """Open or close the window, if it is time."""
        now = time.monotonic()
        if now < self._turn_at or self.refused is not None:
            return
        if self._statistics is None:
            self._open(now)
        else:
            self.close()
            self._turn_at = now + _EVERY_S - _OPEN_S

    def wanted_in_s(self) -> float:
        """Until tick() has something to do; infinite where it never has."""
        return math.inf if self.refused is not None else max(0.0, self._turn_at - time.monotonic())

    def _open(self, now: float) -> None:
        descriptor = libbpf().bpf_enable_stats(_STATS_RUN_TIME)
        if descriptor < 0:
            self.refused = os.strerror(ctypes.get_errno())
            return
        self._statistics, self._opened_at, self._turn_at = int(descriptor), now, now + _OPEN_S

    def close(self) -> None:
        """Close the window, if it is open."""
        if self._statistics is not None:
            os.close(self._statistics)
            self.open_s += time.monotonic() - self._opened_at
            self._statistics = None
