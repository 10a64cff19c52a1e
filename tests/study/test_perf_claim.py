"""The claim on what perf can count (S18): decided by trying."""

from __future__ import annotations

from typing import Any

import pytest

from tests.rulings import CONFIRMED, DEPENDS, REFUTED, UNDECIDED, outcome, ruling
from tracer.books.perf_attempt import PerfAttempt


def attempt(level: int, counts: str, worked: bool, **other: Any) -> PerfAttempt:
    return PerfAttempt(level=level, counts=counts, worked=worked, **other)


@pytest.mark.parametrize(
    ("attempts", "expected"),
    [
        ([attempt(3, "default", False), attempt(1, "default", True)], CONFIRMED),
        ([attempt(2, "default", True), attempt(2, "kernel", True)], REFUTED),
        ([attempt(2, "kernel", False), attempt(1, "kernel", False)], REFUTED),
        (
            [attempt(2, "default", True, user_only=True), attempt(2, "kernel", False), attempt(1, "kernel", True)],
            DEPENDS,
        ),
        ([attempt(3, "default", False)], UNDECIDED),
        ([attempt(1, "default", True)], UNDECIDED),
        ([], UNDECIDED),
        (None, UNDECIDED),
    ],
)
def test_s18_is_decided_by_trying(attempts, expected):
    """Refused above level 1 and allowed below; allowed anyway; only in part; not tried both ways."""
    assert outcome("S18", perf_attempts=attempts) is expected


def test_s18_tells_a_refusal_from_a_perf_that_is_not_there():
    """A wrapper without its program is no answer of the kernel's; it is quoted."""
    wrapper = "WARNING: perf not found for kernel 6.8.0-31"
    found = ruling("S18", perf_attempts=[attempt(3, "default", False, absent=True, message=wrapper)])

    assert (found.outcome, found.cases) == (UNDECIDED, [])
    assert wrapper in found.missing


def test_s18_says_what_perf_leaves_out():
    """A success that counts user mode alone is told as such."""
    tried = [attempt(2, "default", True, user_only=True), attempt(2, "kernel", False), attempt(1, "kernel", True)]

    assert "user mode alone" in ruling("S18", perf_attempts=tried).sentence
