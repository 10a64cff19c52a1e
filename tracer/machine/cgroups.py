"""A cgroup of our own for the workload: its sockets are the ones that cgroup programs see."""

from __future__ import annotations

import contextlib
import errno
import time
from collections.abc import Iterator
from pathlib import Path

from tracer.errors import MachineError
from tracer.machine.kernel.capabilities import nettrace_path
from tracer.machine.leftovers import NAMESPACES, cgroup2_mount, cgroups_in, owned_name, remove_cgroup
from tracer.machine.privilege import refusal

_MOUNT = "mount -t cgroup2 none /sys/fs/cgroup"
_WRITABLE = "in a container: docker run --privileged, or -v /sys/fs/cgroup:/sys/fs/cgroup:rw"

# A dead process leaves its cgroup when it is reaped, a moment after its parent has seen it end.
_EMPTY_DEADLINE_S = 10.0


@contextlib.contextmanager
def open_cgroup() -> Iterator[Path]:
    """A new cgroup for the time of the block; what is in it must have ended by then.

    Raises:
        MachineError: no cgroup2 hierarchy is mounted.
        PrivilegeError: this user may not make a cgroup.
    """
    mount = cgroup2_mount()
    if mount is None:
        raise MachineError("there is no cgroup2 hierarchy", *why_no_cgroup2())
    directory = mount / owned_name("cgroup")
    try:
        directory.mkdir()
    except PermissionError as error:
        raise refusal(f"cannot make a cgroup in {mount}", str(error.strerror), "CAP_DAC_OVERRIDE") from error
    except OSError as error:
        fix = _WRITABLE if error.errno == errno.EROFS else "see: nettrace doctor"
        raise MachineError(f"cannot make a cgroup in {mount}", str(error.strerror), fix) from error
    try:
        yield directory
    finally:
        _remove(directory)


def level_of(cgroup: Path) -> int:
    """How many cgroups are above it."""
    return len(cgroup.relative_to(cgroup2_mount() or Path("/")).parts)


def cgroups_below(cgroup: Path) -> dict[int, str]:
    """Id -> path, as in /proc/PID/cgroup, of the cgroups that somebody has made in this one."""
    mount = cgroup2_mount() or Path("/")
    found = {}
    for path in cgroups_in(cgroup)[1:]:
        with contextlib.suppress(FileNotFoundError):
            found[path.stat().st_ino] = f"/{path.relative_to(mount)}"
    return found


def why_no_cgroup2() -> tuple[str, str]:
    """Why no cgroup2 hierarchy is mounted here, and what helps."""
    if not _elsewhere():
        return "none is mounted, and by its programs the workload's packets are known", f"{_sysfs()}{_MOUNT}"
    name = _own_netns()
    if name is None:
        return "this mount namespace hides the one that the machine has", f"{_sysfs()}{_MOUNT}"
    enter = f"nsenter --net={NAMESPACES / name} {nettrace_path()} ..."
    return "`ip netns exec` has mounted another /sys over the one that holds it", f"enter the network alone: {enter}"


def _sysfs() -> str:
    """What has to be mounted before, so that there is a place to mount it at."""
    return "" if Path("/sys/fs/cgroup").is_dir() else "mount -t sysfs none /sys && "


def _elsewhere() -> bool:
    """Whether the machine's first process has one."""
    try:
        return cgroup2_mount(Path("/proc/1/mounts").read_text(errors="surrogateescape")) is not None
    except OSError:
        return False


def _own_netns() -> str | None:
    """The name of our network namespace, as `ip netns identify` tells it; None where it has none."""
    own = Path("/proc/self/ns/net").stat().st_ino
    with contextlib.suppress(OSError):
        return next((path.name for path in NAMESPACES.iterdir() if path.stat().st_ino == own), None)
    return None


def _remove(directory: Path) -> None:
    deadline = time.monotonic() + _EMPTY_DEADLINE_S
    while True:
        try:
            remove_cgroup(directory)
        except OSError:  # EBUSY: something in it is still being reaped
            if time.monotonic() > deadline:
                return  # nettrace doctor --clean finds it
            time.sleep(0.005)
        else:
            return
