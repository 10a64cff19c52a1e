"""Kinds of perf that people have: none, a wrapper without a program, an old one, one that hangs or dies."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest

from tracer.books.facts import State
from tracer.machine import perf_program, perf_trial

pytestmark = pytest.mark.system

WRAPPER = f"""
echo "WARNING: perf not found for kernel {platform.release()}

  You may need to install the following packages for this specific kernel:
    linux-tools-{platform.release()}" >&2
exit 2
"""
OLD = """
case "$*" in *--version*) echo "perf version 5.4.0"; exit 0;; esac
echo " Error: unknown switch \\`j'" >&2
exit 129
"""
GOOD = """
case "$*" in *--version*) echo "perf version 6.12.1"; exit 0;; esac
echo '{"counter-value" : "1.0", "unit" : "msec", "event" : "task-clock"}'
"""
REFUSED = "echo 'Error:'; echo 'No permission to enable task-clock event: perf_event_paranoid is 3.'; exit 255"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A perf in a PATH of its own."""

    def install(script: str) -> None:
        program = tmp_path / "perf"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        monkeypatch.setattr(perf_program, "DEADLINE_S", 0.3)

    return install


@pytest.mark.parametrize(
    ("script", "state", "detail", "fix"),
    [
        (GOOD, State.OK, "perf version 6.12.1", ""),
        (WRAPPER, State.MISSING, "perf not found for kernel", f"apt-get install linux-tools-{platform.release()}"),
        (OLD, State.MISSING, "unknown switch `j': it is too old", "install a newer perf"),
        (REFUSED, State.UNKNOWN, "No permission to enable task-clock", ""),
        ("exec sleep 60", State.MISSING, "no answer within 0.3 s", "look at what keeps it"),
        ("kill -SEGV $$", State.MISSING, "ended by SIGSEGV", "apt-get install linux-"),
        ("exit 3", State.MISSING, "ended with exit code 3", "apt-get install linux-"),
        ("true", State.MISSING, "ended with exit code 0", "apt-get install linux-"),
    ],
)
def test_doctor_tries_the_perf_that_is_there(installed, script: str, state: State, detail: str, fix: str) -> None:
    """Its own words, and the command that helps with this kind."""
    installed(script)
    told = perf_program.perf_fact()

    assert told.state is state
    assert detail in told.detail
    assert fix in told.fix
    assert (told.state is State.OK) == (told.fix == "")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become an ordinary user")
@pytest.mark.parametrize("script", ["exec sleep 60", WRAPPER, OLD, "kill -SEGV $$"])
def test_a_perf_that_cannot_try_is_tried_once(installed, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six tries of one that hangs would take the user's patience; and it is no refusal of the kernel's."""
    installed(script)
    monkeypatch.setattr(os, "defpath", os.environ["PATH"])
    monkeypatch.setattr(perf_trial, "NOBODY", 0)  # who may look into the directory of a test
    attempts = perf_trial._tries_at(2)

    assert [(one.worked, one.absent) for one in attempts] == [(False, True)]
    assert "[" not in attempts[0].message
