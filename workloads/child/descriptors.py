"""A thread's own table of descriptors.

In a process of several threads every call on a descriptor counts a reference to the file up and down again
(__fget_light(), fs/file.c): 50 ns a call on a 2-core EPYC guest, 3 % of what a message of 1 KiB takes from end to end.
A thread that shares its table with nobody is spared that, as the one of a program without threads.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from os import closerange, sysconf

from workloads.engine._engine import lib

_STANDARD = (0, 1, 2)


def own_table(kept: Iterable[int]) -> bool:
    """Give the calling thread a copy of the process's table, with these descriptors and the standard ones alone.

    What it closes from now on stays open for the other threads, and the other way round.

    Returns:
        False where the kernel refuses, as a container's seccomp filter may: slower, and right.
    """
    if lib.unshare(lib.CLONE_FILES):
        return False
    close_others(kept)
    return True


def close_others(kept: Iterable[int]) -> None:
    """Close all but these and the standard ones, in the calling thread's table."""
    edges = [*sorted({*_STANDARD, *kept}), sysconf("SC_OPEN_MAX")]
    for low, high in itertools.pairwise(edges):
        closerange(low + 1, high)
