"""Who may run which test; a skip quotes the reason that doctor gives."""

from __future__ import annotations

import functools
import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

from tracer.books.facts import diagnose
from tracer.machine.kernel.examination import kernel_facts
from tracer.machine.kernel.installation import installation_facts

# Who runs the tests has a terminal of some width, and their screens do not depend on it; a worker of xdist has 80.
os.environ.pop("COLUMNS", None)
# A shell has what it starts with & ignore SIGINT, and all that the tests start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says how busy the machine is.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

OTHER_KERNELS = ("6.1", "7.2")
# Marks whose tests are run by themselves (Makefile).
APART = ("lab", "live")


@functools.cache
def why_not_here() -> str | None:
    """None if `nettrace run` works on this machine and for this user."""
    diagnosis = diagnose([*kernel_facts(), *installation_facts()])
    return None if diagnosis.can_run else diagnosis.sentence


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Live tests run a workload on this machine's own kernel."""
    if item.get_closest_marker("live") and (reason := why_not_here()):
        pytest.skip(reason)


@functools.cache
def _names(file: Path, mark: str) -> bool:
    return f"mark.{mark}" in file.read_text()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Tests of one mark ("lab and not ...") are in files that name it: others are not imported, which takes seconds."""
    wanted = config.option.markexpr.partition(" and ")[0]
    if wanted not in APART or not collection_path.name.startswith("test_") or collection_path.is_dir():
        return None
    return None if _names(collection_path, wanted) else True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The lab's own tests keep, kill and remove guests and snapshots of the default kernel; of others nobody does."""
    for item in items:
        for mark in APART:
            if item.get_closest_marker(mark) and not _names(item.path, mark):
                raise pytest.UsageError(f"{item.path} does not name the mark of its tests: pytest.mark.{mark}")
        kernel = getattr(item, "callspec", None) and item.callspec.params.get("kernel")  # type: ignore[attr-defined]
        if kernel in OTHER_KERNELS and item.path.parent.name != "lab":
            item.add_marker(pytest.mark.other_kernel)
