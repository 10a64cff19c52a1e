"""The tick by which the kernel's coarse clocks go."""

from __future__ import annotations

import functools
import time

_CLOCK_MONOTONIC_COARSE = 6  # linux/time.h; Python has no name for it


@functools.cache
def tick_s() -> float:
    """Seconds between two ticks, 1 / CONFIG_HZ: 0.001 to 0.01."""
    return time.clock_getres(_CLOCK_MONOTONIC_COARSE)
