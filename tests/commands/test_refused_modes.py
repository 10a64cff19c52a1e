"""A mode that cannot be done here and was asked for by name: one error, before anything is measured or written."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.command import ROOT, nettrace
from tracer.observers.choice import why_no_functions

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

NOBODY = 65534
WITHOUT = [sys.executable, str(ROOT / "tests" / "programs" / "without.py")]
# RLIMIT_MEMLOCK binds whom sudo was called by, and root not.
LIMITED = {**os.environ, "SUDO_UID": str(NOBODY), "SUDO_GID": str(NOBODY)}
LOW_MEMLOCK = ["bash", "-c", 'ulimit -l 64; exec "$@"', "bash"]

NO_URING: dict[str, Any] = {"before": [*WITHOUT, "io_uring"]}
NO_HUGE_PAGES: dict[str, Any] = {"before": [*WITHOUT, "huge-pages"]}
NO_MEMLOCK: dict[str, Any] = {"before": LOW_MEMLOCK, "env": LIMITED}

CASES = [
    (NO_URING, "uring-send", ["the sender cannot have io_uring", "EPERM", "io_uring_disabled"]),
    (NO_HUGE_PAGES, "zerocopy-hugepages", ["the sender cannot have huge pages", "compact_memory"]),
    (NO_MEMLOCK, "zerocopy", ["(ENOBUFS)", "RLIMIT_MEMLOCK is 65536 bytes", "ulimit -l"]),
    (NO_MEMLOCK, "uring-zerocopy", ["(ENOMEM)", "RLIMIT_MEMLOCK is 65536 bytes", "ulimit -l"]),
    (NO_MEMLOCK, "uring-zerocopy-fixed", ["registered buffers", "ENOMEM", "ulimit -l"]),
]
MODES = [mode for _, mode, _ in CASES]


@pytest.mark.parametrize(("lacking", "mode", "words"), CASES, ids=MODES)
def test_a_run_says_what_is_lacking(lacking: dict[str, Any], mode: str, words: list[str]) -> None:
    """No pass has begun."""
    done = nettrace("run", mode, "--size", "1M", **lacking)

    assert_refused(done, words)


@pytest.mark.parametrize(("lacking", "mode", "words"), CASES, ids=MODES)
def test_compare_says_which_mode_lacks_what(lacking: dict[str, Any], mode: str, words: list[str]) -> None:
    """None of the others was measured."""
    done = nettrace("compare", "--modes", f"onecopy,{mode}", "--size", "1M", **lacking)

    assert_refused(done, [f"error: {mode}: ", *words])


@pytest.mark.parametrize(("lacking", "mode", "words"), CASES, ids=MODES)
def test_a_sweep_says_so_and_writes_nothing(
    tmp_path: Path, lacking: dict[str, Any], mode: str, words: list[str]
) -> None:
    """Also where its smallest messages could be sent."""
    directory = tmp_path / "sweep"
    done = nettrace("sweep", directory, "--modes", f"onecopy,{mode}", "--sizes", "1024,1M", "--threads", 1, **lacking)

    assert_refused(done, [f"error: {mode}: ", *words])
    assert not directory.exists()


def test_a_way_to_read_that_is_refused_is_told_too() -> None:
    """By the receiver."""
    done = nettrace("compare", "--modes", "onecopy,twocopy", "--receive", "uring", **NO_URING)

    assert_refused(done, ["error: the receiver cannot have io_uring", "EPERM", "--receive recv"])


def test_an_observer_that_is_refused_is_told_before_a_sweep_writes_anything(tmp_path: Path) -> None:
    """Only its first runs are watched."""
    if (reason := why_no_functions()) is None:
        pytest.skip("this kernel allows function probes")
    directory = tmp_path / "sweep"
    done = nettrace("sweep", directory, "--observer", "functions", "--modes", "onecopy", "--threads", 1)

    assert_refused(done, ["--observer functions cannot run on this kernel", reason])
    assert not directory.exists()


def assert_refused(done: Any, words: list[str]) -> None:
    """What, why, fix, and nothing beside; exit code 4: this machine cannot."""
    assert (done.returncode, done.stdout) == (4, "")
    assert [line[:7] for line in done.stderr.splitlines()] == ["error: ", "  why: ", "  fix: "]
    assert [word for word in words if word not in done.stderr] == []
