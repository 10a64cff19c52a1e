"""A cgroup of our own for the workload: its sockets are the ones that cgroup programs see."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from tracer.errors import MachineError, PrivilegeError
from tracer.machine.leftovers import cgroup2_mount, owned_name

_FIX = "mount -t cgroup2 none /sys/fs/cgroup (on a machine without systemd); see: nettrace doctor"

# A dead process leaves its cgroup when it is reaped, a moment after its parent has seen it end.
_EMPTY_DEADLINE_S = 2.0


@contextlib.contextmanager
def open_cgroup() -> Iterator[Path]:
    """A new cgroup for the time of the block; what is in it must have ended by then.

    Raises:
        MachineError: no cgroup2 hierarchy is mounted.
        PrivilegeError: this user may not make a cgroup.
    """
    mount = cgroup2_mount()
    if mount is None:
        raise MachineError("there is no cgroup2 hierarchy", "its programs tell the workload's packets", _FIX)
    directory = mount / owned_name("cgroup")
    try:
        directory.mkdir()
    except PermissionError as error:
        raise PrivilegeError(f"cannot make the cgroup {directory}", str(error.strerror), "run it as root") from error
    except OSError as error:
        raise MachineError(f"cannot make the cgroup {directory}", str(error.strerror), _FIX) from error
    try:
        yield directory
    finally:
        _remove(directory)


def _remove(directory: Path) -> None:
    deadline = time.monotonic() + _EMPTY_DEADLINE_S
    while True:
        try:
            directory.rmdir()
        except FileNotFoundError:
            return
        except OSError:  # EBUSY: something in it is still being reaped
            if time.monotonic() > deadline:
                return  # nettrace doctor --clean finds it
            time.sleep(0.005)
        else:
            return
