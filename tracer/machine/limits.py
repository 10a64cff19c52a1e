"""Limits of this process (setrlimit(2), and the shell's ulimit): which one an error comes from, and what lifts it.

Whoever fails by one says what it wanted in the system's own words, wherever in nettrace, in a worker or in a library
that was; these are looked up here, once, when the error is told.
"""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from typing import NamedTuple

from tracer.errors import MachineError, NettraceError, reason_of

# Descriptors that watching takes: 50 to 60, most of them maps and programs of BPF.
LEAST_DESCRIPTORS = 64
# What a shell usually has; it holds the 4 descriptors a connection of the mode that takes most, for 64 of them.
_USUAL_DESCRIPTORS = 1024


class Limit(NamedTuple):
    """One that binds.

    Args:
        words: In which the system says that it is reached; each of them has other causes, too, where none is set.
        of: What is counted, of whom.
        flag: Of ulimit.
    """

    number: int
    name: str
    flag: str
    of: str
    words: tuple[str, ...]


_LIMITS = (
    Limit(resource.RLIMIT_NOFILE, "RLIMIT_NOFILE", "n", "descriptors of a process", (os.strerror(errno.EMFILE),)),
    Limit(resource.RLIMIT_FSIZE, "RLIMIT_FSIZE", "f", "bytes of a file", (os.strerror(errno.EFBIG),)),
    Limit(
        resource.RLIMIT_NPROC, "RLIMIT_NPROC", "u", "processes and threads of a user",
        (os.strerror(errno.EAGAIN), "can't start new thread"),
    ),
    Limit(
        resource.RLIMIT_AS, "RLIMIT_AS", "v", "bytes of a process's memory",
        (os.strerror(errno.ENOMEM), "MemoryError", "failed to map segment", "can't start new thread"),
    ),
)  # fmt: skip


def require_descriptors() -> None:
    """Asked before anything is made.

    Raises:
        MachineError: this process may have too few for what watches the kernel.
    """
    limit = _LIMITS[0]
    if (most := _value(limit)) is not None and most < LEAST_DESCRIPTORS:
        why = f"{_stated(limit, most)}, and what watches the kernel takes up to {LEAST_DESCRIPTORS}"
        raise MachineError("this process may have too few files open", why, _lifting(limit, most))


def with_limits(error: BaseException) -> NettraceError | None:
    """The error with the limits that it comes from; None of one that does not come from any."""
    told = " ".join(_words(error))
    reached = [limit for limit in _LIMITS if any(word in told for word in limit.words)]
    set_to = {limit: most for limit in reached if (most := _value(limit)) is not None}
    if not set_to or "RLIMIT_" in told:  # or it is named by who knows better
        return None
    limits = "; ".join(_stated(limit, most) for limit, most in set_to.items())
    fix = " or ".join(_lifting(limit, most) for limit, most in set_to.items())
    if isinstance(error, NettraceError):
        return type(error)(error.what, f"{error.why}; {limits}", fix)
    return MachineError("the operating system refused", f"{reason_of(error)}; {limits}", fix)


def _words(error: BaseException | None) -> Iterator[str]:
    """What it says, and what those say that it comes from."""
    while error is not None:
        yield from (type(error).__name__, str(error))
        error = error.__cause__ or error.__context__


def _value(limit: Limit) -> int | None:
    soft, _ = resource.getrlimit(limit.number)
    return None if soft == resource.RLIM_INFINITY else soft


def _stated(limit: Limit, most: int) -> str:
    return f"{limit.name} is {most:,} ({limit.of})"


def _lifting(limit: Limit, most: int) -> str:
    if limit.number == resource.RLIMIT_NOFILE:
        return f"ulimit -n {max(_USUAL_DESCRIPTORS, 2 * most)}"
    return f"ulimit -{limit.flag} unlimited"
