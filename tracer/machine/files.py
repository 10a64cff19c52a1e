"""Files that a user names for results: written whole or not at all, and never in the place of something else."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path

from tracer.errors import MachineError

_NEW_FILE_MODE = 0o644


def write_file(path: Path, data: bytes) -> None:
    """Write a result to where the user says.

    A regular file is replaced, whole or not at all, and keeps its mode and owner; of a link, the target is. What is not
    a regular file (a device, a pipe, an open descriptor such as /dev/stdout) is written into. A new file belongs to the
    user who ran sudo.

    Raises:
        MachineError: the disk is full, or this user may not.
    """
    try:
        target = path.resolve()
        if is_stream(path) or not _may_be_replaced(target):
            with path.open("wb") as file:
                file.write(data)
        else:
            _replace(target, data)
    except OSError as error:
        raise MachineError(
            f"cannot write {path}", error.strerror or str(error), "free some space, or write it elsewhere"
        ) from error


def is_stream(path: Path) -> bool:
    """Whether a path leads to a device, a pipe, a socket, or to a descriptor of a process (/dev/stdout)."""
    while path.is_symlink():
        parent = path.parent.resolve()
        if parent.is_relative_to("/proc"):
            return True
        path = parent / path.readlink()
    return path.exists() and not path.is_file()


def _may_be_replaced(target: Path) -> bool:
    """Where no file can be made beside it, one that is there may still be written into."""
    return not target.exists() or os.access(target.parent, os.W_OK)


def _replace(target: Path, data: bytes) -> None:
    old = target.stat() if target.exists() else None
    descriptor, name = tempfile.mkstemp(prefix=".nettrace-", dir=target.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(_NEW_FILE_MODE if old is None else stat.S_IMODE(old.st_mode))
        if old is None:
            give_to_invoking_user(temporary)
        elif os.geteuid() == 0:
            os.chown(temporary, old.st_uid, old.st_gid)
        temporary.replace(target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()


def give_to_invoking_user(path: Path) -> None:
    """Make the user who ran sudo the owner; nothing happens without sudo."""
    user, group = os.environ.get("SUDO_UID"), os.environ.get("SUDO_GID")
    if os.geteuid() == 0 and user and group:
        os.chown(path, int(user), int(group))


def require_writable(path: Path) -> None:
    """Say before the work, not after it, that its result cannot be saved.

    Raises:
        MachineError: there is no such directory, or the path is one.
    """
    if path.is_dir():
        raise MachineError(f"cannot write {path}", "it is a directory", "name a file")
    if not path.parent.is_dir():
        raise MachineError(f"cannot save {path}", f"there is no directory {path.parent}", f"mkdir -p {path.parent}")
