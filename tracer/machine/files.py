"""Files that the user named: read within bounds, written whole or not at all, and nothing of the user's replaced.

What is no regular file (a device, a FIFO, a descriptor such as /dev/stdout) is written into. A symbolic link stays: the
file that it leads to is replaced, and keeps its mode and owner. A new file belongs to the user who called sudo.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
import sys
from pathlib import Path

from tracer.errors import MachineError, reason_of
from tracer.machine.users import give_to_invoking_user

_DESCRIPTOR = re.compile(r"/proc/(self|thread-self|(?P<pid>\d+))(/task/\d+)?/fd/(?P<number>\d+)")
# Nothing can be put in the place of this file: a read-only or foreign directory, a file that is mounted by itself.
_NOT_REPLACEABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY}
_MOST_LINKS = 40
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def require_writable(path: Path) -> None:
    """Say before the run, not after it, that its result cannot be saved. Nothing is opened: a FIFO would block.

    Raises:
        MachineError: the directory is missing, or neither it nor the file may be written.
    """
    if descriptor_in(path) is not None:
        return
    if not path.parent.is_dir():
        raise MachineError(f"cannot write {path}", f"there is no directory {path.parent}", f"mkdir -p {path.parent}")
    if stat.S_ISSOCK(_mode_of(path)):
        raise MachineError(f"cannot write {path}", "it is a socket", "choose another file")
    place = path if path.exists() else Path(os.path.realpath(path)).parent
    if not os.access(place, os.W_OK):
        raise MachineError(f"cannot write {path}", f"{place} may not be written by this user", "choose another file")


def _mode_of(path: Path) -> int:
    try:
        return path.stat().st_mode
    except OSError:
        return 0


def write_file(path: Path, data: bytes) -> None:
    """Write a file: whole or not at all where it is a regular one.

    Raises:
        MachineError: the disk is full, or it may not be written.
    """
    try:
        _write(path, data)
    except OSError as error:
        fix = "free some space, or choose another file" if error.errno in _FULL else "choose another file"
        raise MachineError(f"cannot write {path}", error.strerror or reason_of(error), fix) from error


def _write(path: Path, data: bytes) -> None:
    if (number := descriptor_in(path)) is not None:
        _write_to_descriptor(number, data)
        return
    try:
        # The kernel follows the links, and refuses those that others have laid (fs.protected_symlinks).
        there = os.open(path, os.O_WRONLY | os.O_NOCTTY | os.O_CLOEXEC)
    except FileNotFoundError:
        _put(Path(os.path.realpath(path)), data, None)
        return
    try:
        facts = os.fstat(there)
        if stat.S_ISREG(facts.st_mode):
            _replace(Path(os.path.realpath(path)), data, there, facts)
        else:
            _write_all(there, data)
    finally:
        os.close(there)


def descriptor_in(path: Path) -> int | None:
    """The number of our own descriptor that a path such as /dev/stdout, /dev/fd/3 or /proc/self/fd/3 leads to."""
    for _ in range(_MOST_LINKS):
        # The parent's links are followed, the last name is not: it is the link that leads to the open file.
        here = os.path.join(os.path.realpath(path.parent), path.name)  # noqa: PTH118 - "/proc/self" must not resolve twice
        found = _DESCRIPTOR.fullmatch(here)
        if found and found["pid"] in (None, str(os.getpid())):
            return int(found["number"])
        if found or not os.path.islink(here):  # noqa: PTH114
            return None
        path = Path(here).parent / os.readlink(here)  # noqa: PTH115
    return None


def _write_to_descriptor(number: int, data: bytes) -> None:
    """Behind what was written to it before; a second open of the file would begin at its start."""
    if sys.stdout is not None:
        sys.stdout.flush()
    copy = os.dup(number)
    try:
        _write_all(copy, data)
    finally:
        os.close(copy)


def _replace(target: Path, data: bytes, there: int, facts: os.stat_result) -> None:
    """Another file in its place; where that cannot be, or would part it from its other names, the file itself."""
    if facts.st_nlink > 1:
        _overwrite(there, data)
        return
    try:
        _put(target, data, facts)
    except OSError as error:
        if error.errno not in _NOT_REPLACEABLE:
            raise
        _overwrite(there, data)


def _put(target: Path, data: bytes, like: os.stat_result | None) -> None:
    """A new file under this name, on the disk when this returns.

    Args:
        like: The file whose place it takes, for its mode and owner.
    """
    temporary = target.with_name(f".nettrace-{os.getpid()}-{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        _write_all(descriptor, data)
        os.fsync(descriptor)
        _own(descriptor, like)
        temporary.replace(target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        raise
    finally:
        os.close(descriptor)


def _own(descriptor: int, like: os.stat_result | None) -> None:
    if like is None:
        give_to_invoking_user(descriptor)
        return
    if (like.st_uid, like.st_gid) != (os.geteuid(), os.getegid()):
        os.fchown(descriptor, like.st_uid, like.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(like.st_mode))


def _overwrite(descriptor: int, data: bytes) -> None:
    """The file keeps its place; a full disk is found before the old content is cut off."""
    os.posix_fallocate(descriptor, 0, max(1, len(data)))
    _write_all(descriptor, data)
    os.ftruncate(descriptor, len(data))
    os.fsync(descriptor)


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
