"""Whether this kernel lets a task be interrupted by another one while it runs the kernel's own code."""

from __future__ import annotations

import platform
from pathlib import Path

# "none (voluntary) full", "full (lazy)": kernel/sched/debug.c.
_MODEL = Path("/sys/kernel/debug/sched/preempt")
_PREEMPTING = ("(full)", "(lazy)")


def preempts() -> bool:
    """Whether it does; True where it may and does not say (debugfs is not there, or hidden)."""
    try:
        return any(model in _PREEMPTING for model in _MODEL.read_text().split())
    except OSError:
        return "PREEMPT" in platform.version()
