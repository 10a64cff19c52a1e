"""The perf that is installed here: whether it can do what nettrace asks of it, found out by asking."""

from __future__ import annotations

import os
import platform
import shutil
import signal
import subprocess
from pathlib import Path

from tracer.books.facts import Fact, Purpose, State
from tracer.machine.kernel.capabilities import as_root

DEADLINE_S = 4.0
# perf's words for EACCES and EPERM, tools/perf/util/evsel.c. All else is no answer of the kernel's.
REFUSALS = ("Access to performance monitoring", "perf_event_paranoid", "ermission", "not permitted")
_NO_JSON = ("unknown switch `j'", "unknown option `j", "invalid option -- 'j'")


def perf_fact() -> Fact:
    """The program that reads the CPU's counters: tried, because a wrapper or an old one is installed as well."""
    program = shutil.which("perf")
    detail, fix, refused = ("not installed", _package(), False) if program is None else _tried(program)
    return Fact(
        name="perf",
        purpose=Purpose.COST,
        state=State.OK if not fix else State.UNKNOWN if refused else State.MISSING,
        detail=detail,
        why_it_matters="counts cycles, instructions and cache misses of the bare pass",
        fix=fix,
    )


def _tried(program: str) -> tuple[str, str, bool]:
    """What it does, what would help, and whether only this user is refused."""
    code, words = run_perf([program, "stat", "-j", "-e", "task-clock", "--", "true"])
    if code == 0 and '"counter-value"' in words:
        return f"{first_words(run_perf([program, '--version'])[1])} ({program})", "", False
    if code is None:
        return f"{program}: {words}", f"look at what keeps it: {program} stat true", False
    said = f"{program}: {first_words(words) or how_it_ended(code)}"
    if any(word in words for word in REFUSALS):
        return said, as_root(), True
    if any(word in words for word in _NO_JSON):
        return f"{said}: it is too old, and has no JSON output", "install a newer perf", False
    return said, _package("linux-tools" in words), False


def run_perf(command: list[str], **options: object) -> tuple[int | None, str]:
    """Exit code (None: no answer in time, or not to be executed) and all that it printed on both of its streams."""
    try:
        done = subprocess.run(  # type: ignore[call-overload]
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace", timeout=DEADLINE_S, check=False,
            **{"env": {**os.environ, "LC_ALL": "C"}, **options},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return None, f"no answer within {DEADLINE_S:g} s"
    except OSError as error:
        return None, error.strerror or ""
    return done.returncode, done.stdout


def first_words(output: str) -> str:
    """What perf said first; its "Error:" may stand alone in a line."""
    lines = (line.strip().removeprefix("Error:").strip().rstrip(".") for line in output.splitlines())
    return next((line for line in lines if line and not line.startswith("{")), "")


def how_it_ended(code: int | None) -> str:
    """An exit code of subprocess in words: "ended with exit code 2", "ended by SIGSEGV"."""
    if code is not None and code < 0:
        return f"ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"


def _package(wrapped: bool = False) -> str:
    """Ubuntu's perf is a wrapper that looks for the program of the running kernel."""
    try:
        ubuntu = "ubuntu" in Path("/etc/os-release").read_text()
    except OSError:
        ubuntu = False
    return f"apt-get install {f'linux-tools-{platform.release()}' if wrapped or ubuntu else 'linux-perf'}"
