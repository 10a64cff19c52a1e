"""Which limit of this process an error comes from; where none is set, or another was named, the error stands."""

from __future__ import annotations

import errno
import os
import resource

import pytest

from tracer.errors import MachineError, WorkloadError
from tracer.machine import limits

UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


def limited(monkeypatch: pytest.MonkeyPatch, number: int, most: int) -> None:
    """Only this one is set."""
    monkeypatch.setattr(limits.resource, "getrlimit", lambda asked: (most, most) if asked == number else UNLIMITED)


@pytest.mark.parametrize(
    ("number", "code", "why", "fix"),
    [
        (resource.RLIMIT_NOFILE, errno.EMFILE, "RLIMIT_NOFILE is 77 (descriptors of a process)", "ulimit -n 1024"),
        (resource.RLIMIT_FSIZE, errno.EFBIG, "RLIMIT_FSIZE is 77 (bytes of a file)", "ulimit -f unlimited"),
        (resource.RLIMIT_AS, errno.ENOMEM, "RLIMIT_AS is 77 (bytes of a process's memory)", "ulimit -v unlimited"),
        (resource.RLIMIT_NPROC, errno.EAGAIN, "RLIMIT_NPROC is 77 (processes and threads", "ulimit -u unlimited"),
    ],
)
def test_the_limit_is_named_with_what_lifts_it(
    monkeypatch: pytest.MonkeyPatch, number: int, code: int, why: str, fix: str
) -> None:
    """Beside what was wanted, and why: by a worker's word, by a cause, or by the system's own error; else nothing."""
    word = os.strerror(code)
    caused = MachineError("cannot do it", "the library says no")
    caused.__cause__ = OSError(code, word)
    limited(monkeypatch, number, 77)

    for error in (WorkloadError("cannot do it", f"its reason: {word}"), caused):
        found = limits.with_limits(error)
        assert found is not None
        assert (type(found), found.what, found.fix) == (type(error), "cannot do it", fix)
        assert found.why.startswith(f"{error.why}; {why}")
    assert why in str(limits.with_limits(OSError(code, word, "/some/file")))
    monkeypatch.setattr(limits.resource, "getrlimit", lambda _: UNLIMITED)
    assert limits.with_limits(caused) is None


def test_memory_that_python_could_not_have_has_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says nothing but its name."""
    limited(monkeypatch, resource.RLIMIT_AS, 50_000)

    assert "RLIMIT_AS is 50,000" in str(limits.with_limits(MemoryError()))


def test_a_limit_that_is_named_already_is_the_right_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """io_uring's ENOMEM is of RLIMIT_MEMLOCK, whatever else is set; and a wrong file is no limit's fault."""
    limited(monkeypatch, resource.RLIMIT_AS, 77)

    assert limits.with_limits(MachineError("no ring", f"RLIMIT_MEMLOCK: {os.strerror(errno.ENOMEM)}")) is None
    assert limits.with_limits(FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))) is None


@pytest.mark.parametrize(("most", "refused"), [(63, True), (64, False)])
def test_too_few_descriptors_to_watch_anything_are_refused(
    monkeypatch: pytest.MonkeyPatch, most: int, refused: bool
) -> None:
    """Before anything is made of them."""
    limited(monkeypatch, resource.RLIMIT_NOFILE, most)
    if not refused:
        return limits.require_descriptors()
    with pytest.raises(MachineError) as caught:
        limits.require_descriptors()

    assert caught.value.why.startswith("RLIMIT_NOFILE is 63 ")
    return None
