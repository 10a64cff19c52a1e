"""Tries perf stat as an ordinary user, for real: what the kernel refuses, and what perf silently leaves out."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

from tracer.books.perf_attempt import PerfAttempt
from tracer.machine.namespaces import signals_held

PARANOID = Path("/proc/sys/kernel/perf_event_paranoid")
NOBODY = 65534
LOWERED = 1
DEADLINE_S = 20
# Software events, because a machine without a PMU has these alone; the kernel asks for the same permission.
_TRIES = {"default": ("-e", "task-clock"), "kernel": ("-e", "task-clock:k"), "system": ("-a", "-e", "task-clock")}
# perf's words for EACCES and EPERM, tools/perf/util/evsel.c. All else is no answer of the kernel's.
_REFUSALS = ("Access to performance monitoring", "perf_event_paranoid", "ermission", "not permitted")


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
    if lower and level > LOWERED:
        attempts += _tries_lowered(level)
    return attempts, ""


def _tries_at(level: int) -> list[PerfAttempt]:
    return [_attempt(level, counts, options) for counts, options in _TRIES.items()]


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
    command = ["perf", "stat", "-j", *options, "--", "true"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", user=NOBODY, group=NOBODY, extra_groups=[],
            cwd="/", timeout=DEADLINE_S, env={"PATH": os.defpath, "LC_ALL": "C", "HOME": "/"}, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return PerfAttempt(level=level, counts=counts, worked=False, absent=True, message=str(error))
    return read_attempt(level, counts, done.returncode, done.stderr)


def read_attempt(level: int, counts: str, code: int, output: str) -> PerfAttempt:
    """What perf's exit code and its standard error say; "task-clock:u" has lost the kernel's half of what was asked."""
    rows = [row for line in output.splitlines() if (row := _json(line))]
    counted = [row for row in rows if str(row.get("counter-value", "<")).replace(".", "").isdecimal()]
    if code or not counted:
        refused = any(word in output for word in _REFUSALS)
        return PerfAttempt(level=level, counts=counts, worked=False, absent=not refused, message=_first_words(output))
    user_only = all(str(row.get("event", "")).endswith(":u") for row in counted)
    return PerfAttempt(level=level, counts=counts, worked=True, user_only=user_only)


def _first_words(output: str) -> str:
    """What perf said first; its "Error:" may stand alone in a line."""
    lines = (line.removeprefix("Error:").strip().rstrip(".") for line in output.splitlines())
    return next((line for line in lines if line and not line.startswith("{")), "")


def _json(line: str) -> dict[str, object] | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None
