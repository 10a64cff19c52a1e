"""One try of perf stat as an ordinary user: what claim S18 is judged from."""

from __future__ import annotations

import msgspec


class PerfAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """One try of perf stat as an ordinary user.

    Args:
        level: kernel.perf_event_paranoid at that moment.
        counts: What was asked for: "default" leaves the choice to perf, "kernel" is the kernel's share of this process,
            "system" is every process.
        worked: perf ended well and gave a number.
        absent: perf itself could not try (a wrapper without its program, one too old): the kernel refused nothing.
        user_only: perf silently left the kernel's share out.
        message: perf's own words, first line.
    """

    level: int
    counts: str
    worked: bool
    absent: bool = False
    user_only: bool = False
    message: str = ""
