"""Whether the warm guest may still see the host's files as they were.

The guest caches what it reads of the host (9p with cache=loose), which makes a warm command five
times faster, and is never told of a change. So before each command the host looks at the files that
a user edits between two commands, and has the guest drop its caches where one changed since the
last time: 0.1 s, and what the command reads anew. Watched are nettrace's own files, what the caller says
that the command reads, and where installations leave a trace.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from tracer.lab import machine

HOME = Path(__file__).resolve().parents[2]
PACKAGES = ("tracer", "workloads", "bpf")
INSTALLED = "/var/lib/dpkg/status"


def is_stale(reads: Iterable[Path]) -> bool:
    """Whether a watched file changed since the last mark; marks this moment if so."""
    marked = newest_change([machine.state() / "fresh"])
    stale = newest_change(watched(reads)) >= marked
    if stale:
        mark()
    return stale


def mark() -> None:
    """Remember that the guest, from now on, has seen nothing older than this."""
    # A file's own time stamp, not the clock: the kernel stamps files with a coarser one.
    (machine.state() / "fresh").write_bytes(b"")


def newest_change(paths: Iterable[str | Path]) -> int:
    """The latest change of content, name or attributes, in nanoseconds; 0 for no file at all.

    A file that was replaced or deleted shows in its directory's own time.
    """
    newest = 0
    for path in paths:
        try:
            newest = max(newest, Path(path).stat().st_ctime_ns)
        except OSError:
            continue
    return newest


def watched(reads: Iterable[Path]) -> Iterator[str | Path]:
    """Files and directories that a user may have changed between two commands."""
    yield INSTALLED
    yield from (entry for entry in sys.path if entry)
    for package in PACKAGES:
        for directory, directories, files in os.walk(HOME / package):
            directories[:] = [name for name in directories if name != "__pycache__"]
            yield directory
            yield from (Path(directory, name) for name in files)
    for path in reads:
        yield path
        if path.is_dir():
            yield from path.iterdir()
