"""Where the lab keeps what: all in one directory of the user's cache (mode 0700), and nothing elsewhere."""

from __future__ import annotations

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


def _below(name: str) -> Path:
    directory = home() / name
    directory.mkdir(mode=0o700, exist_ok=True)
    return directory
