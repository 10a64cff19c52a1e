"""Tries perf stat as an ordinary user, for real: what the kernel refuses, and what perf silently leaves out."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from tracer.books.perf_attempt import PerfAttempt
from tracer.machine.namespaces import signals_held
from tracer.machine.perf_program import REFUSALS, first_words, run_perf

PARANOID = Path("/proc/sys/kernel/perf_event_paranoid")
NOBODY = 65534
LOWERED = 1
# Software events, because a machine without a PMU has these alone; the kernel asks for the same permission.
_TRIES = {"default": ("-e", "task-clock"), "kernel": ("-e", "task-clock:k"), "system": ("-a", "-e", "task-clock")}


def try_perf(lower: bool) -> tuple[list[PerfAttempt] | None, str]:
    """What an ordinary user may count here; None and the reason where that cannot be tried.

    Args:
        lower: Also try with kernel.perf_event_paranoid lowered to 1, and put it back; nobody else may notice but those
            who count in that moment.
    """
    if shutil.which("perf") is None:
        return None, "perf is not installed (Debian: linux-perf)"
    if os.geteuid() != 0:
        return None, "only root can become an ordinary user to try perf stat: run it with sudo"
    try:
        level = int(PARANOID.read_text())
    except (OSError, ValueError):
        return None, "this kernel has no perf_event_paranoid"
    attempts = _tries_at(level)
    if lower and level > LOWERED and not attempts[-1].absent:
        attempts += _tries_lowered(level)
    return attempts, ""


def _tries_at(level: int) -> list[PerfAttempt]:
    attempts = []
    for counts, options in _TRIES.items():
        attempts.append(_attempt(level, counts, options))
        if attempts[-1].absent:
            break  # the others would be as absent, and may take as long
    return attempts


def _tries_lowered(level: int) -> list[PerfAttempt]:
    with signals_held():
        try:
            PARANOID.write_text(str(LOWERED))
            return _tries_at(LOWERED)
        except OSError:
            return []  # a container's sysctls are read-only
        finally:
            if int(PARANOID.read_text()) != level:
                PARANOID.write_text(str(level))


def _attempt(level: int, counts: str, options: tuple[str, ...]) -> PerfAttempt:
    code, output = run_perf(
        ["perf", "stat", "-j", *options, "--", "true"],
        user=NOBODY, group=NOBODY, extra_groups=[], cwd="/", env={"PATH": os.defpath, "LC_ALL": "C", "HOME": "/"},
    )  # fmt: skip
    if code is None:
        return PerfAttempt(level=level, counts=counts, worked=False, absent=True, message=output)
    return read_attempt(level, counts, code, output)


def read_attempt(level: int, counts: str, code: int, output: str) -> PerfAttempt:
    """What perf's exit code and its standard error say; "task-clock:u" has lost the kernel's half of what was asked."""
    rows = [row for line in output.splitlines() if (row := _json(line))]
    counted = [row for row in rows if str(row.get("counter-value", "<")).replace(".", "").isdecimal()]
    if code or not counted:
        refused = any(word in output for word in REFUSALS)
        return PerfAttempt(level=level, counts=counts, worked=False, absent=not refused, message=first_words(output))
    user_only = all(str(row.get("event", "")).endswith(":u") for row in counted)
    return PerfAttempt(level=level, counts=counts, worked=True, user_only=user_only)


def _json(line: str) -> dict[str, object] | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None
