"""Where the lab keeps what: all in one directory of the user's cache (mode 0700), and nothing elsewhere."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Callable, Iterator
from pathlib import Path


def home() -> Path:
    """The lab's directory, made if it is not there."""
    import platformdirs

    directory = Path(platformdirs.user_cache_dir("nettrace")) / "lab"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return directory


def kept() -> Path:
    """Of the guest that stays: sockets `agent` and `monitor`, its `console`, and `guest.json`, which says what runs."""
    return _below("kept")


def guests() -> Path:
    """Of guests that live as long as one command: a directory each."""
    return _below("guests")


def images() -> Path:
    """Root file systems."""
    return _below("images")


def snapshots() -> Path:
    """Saved guests: a directory each, complete from the moment it has its name."""
    return _below("snapshots")


def sources() -> Path:
    """nettrace's own modules as they were handed in."""
    return _below("sources")


@contextlib.contextmanager
def locked(path: Path, note: Callable[[str], None], busy: str) -> Iterator[None]:
    """Hold this file's lock; where somebody else does, say so and wait."""
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            note(f"another nettrace {busy}; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _below(name: str) -> Path:
    directory = home() / name
    directory.mkdir(mode=0o700, exist_ok=True)
    return directory
