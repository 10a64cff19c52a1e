"""What nettrace makes outside its own memory, how it is named, and what a killed run leaves of it.

Everything carries the identity of the process that made it, so that `doctor --clean` can tell the remains of a
killed run from the property of one that is still at work.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tracer.errors import PrivilegeError, reason_of
from tracer.machine.kernel.capabilities import as_root

NAMESPACES = Path("/run/netns")
TRACE_EVENTS = Path("/sys/kernel/tracing/kprobe_events")

# Names of earlier versions have no PID namespace.
_OWNED = re.compile(r"nettrace-(?P<pid>\d+)-(?P<start>\d+)-(?:(?P<namespace>\d+)-)?\w+")
# The inode of the first PID namespace, from which all others are seen (PROC_PID_INIT_INO, linux/proc_ns.h).
FIRST_PID_NAMESPACE = 0xEFFFFFFC


@dataclass(frozen=True)
class Leftover:
    """A thing whose owner is no longer running."""

    kind: Literal["namespace", "cgroup", "temporary file", "trace event"]
    path: Path


def cgroup2_mount(mounts: str | None = None) -> Path | None:
    """Where the unified hierarchy is mounted, from the text of /proc/self/mounts; None if it is nowhere.

    Blanks and the like in a path are written as three octal digits there: proc_pid_mounts(5), getmntent(3).
    """
    text = Path("/proc/self/mounts").read_text(errors="surrogateescape") if mounts is None else mounts
    for line in text.splitlines():
        fields = line.split(" ")
        if len(fields) > 2 and fields[2] == "cgroup2":
            return Path(re.sub(r"\\(\d{3})", lambda found: chr(int(found[1], 8)), fields[1]))
    return None


def owned_name(suffix: str) -> str:
    """A name for a namespace or temporary file of this process: nettrace-PID-STARTTIME-PIDNAMESPACE-SUFFIX.

    The start time (clock ticks since boot) tells this process from a later one that is given the same pid; the PID
    namespace (its inode) tells it from a container's that shares /run/netns with us.
    """
    return f"nettrace-{os.getpid()}-{start_time(os.getpid())}-{pid_namespace('self')}-{suffix}"


def pid_namespace(process: str) -> int | None:
    """Inode of a process's PID namespace; None if there is no such process, or this user may not look."""
    try:
        return Path(f"/proc/{process}/ns/pid").stat().st_ino
    except OSError:
        return None


def start_time(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None if there is no such process.

    Field 22 of /proc/PID/stat, proc(5); field 2, the command in parentheses, may hold any character.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(stat.rpartition(")")[2].split()[19])


def is_orphan(name: str) -> bool:
    """Whether this is a name that owned_name() gave, in a process that has ended since.

    Of a PID namespace that cannot be looked into from here nothing is known, so nothing of it is an orphan.
    """
    owned = _OWNED.fullmatch(name)
    if owned is None:
        return False
    here = pid_namespace("self")
    namespace = int(owned["namespace"] or here or 0)
    if namespace == here:
        return start_time(int(owned["pid"])) != int(owned["start"])
    return here == FIRST_PID_NAMESPACE and not _has_processes(namespace)


def _has_processes(namespace: int) -> bool:
    return any(pid_namespace(path.name) == namespace for path in Path("/proc").iterdir() if path.name.isdecimal())


def find(namespaces: Path = NAMESPACES, temporary: Path | None = None) -> list[Leftover]:
    """What killed runs left: network namespaces, cgroups, trace events, and this user's temporary files."""
    left = [Leftover("namespace", path) for path in _orphans(namespaces)]
    mount = cgroup2_mount()
    left += [Leftover("cgroup", path) for path in (_orphans(mount) if mount else [])]
    left += [Leftover("trace event", Path(event)) for event in orphaned_events(_read(TRACE_EVENTS))]
    files = _orphans(temporary or Path(tempfile.gettempdir()))
    return left + [Leftover("temporary file", path) for path in files if _is_mine(path)]


def orphaned_events(definitions: str) -> list[str]:
    """Return probes that killed runs left, from the text of kprobe_events: "r4096:kprobes/NAME_bcc_PID symbol"."""
    words = (line.split()[0].partition(":")[2] for line in definitions.splitlines() if line.strip())
    return [word for word in words if is_orphan(word.rpartition("/")[2].rpartition("_bcc_")[0].replace("_", "-"))]


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # no tracefs, no kprobes, or this user may not look
        return ""


def _orphans(directory: Path) -> list[Path]:
    try:
        return sorted(path for path in directory.iterdir() if is_orphan(path.name))
    except OSError:  # no namespace was ever made, or this user may not look
        return []


def _is_mine(path: Path) -> bool:
    """Anyone may put a file of any name into /tmp: root must not be led to delete what is not root's."""
    try:
        return path.lstat().st_uid == os.geteuid()
    except FileNotFoundError:
        return False


def remove(leftovers: Iterable[Leftover]) -> None:
    """Remove them; what has gone by itself meanwhile is no error.

    Raises:
        PrivilegeError: if this user may not.
    """
    for leftover in leftovers:
        try:
            _remove(leftover)
        except FileNotFoundError:
            continue
        except PermissionError as error:
            raise PrivilegeError(
                f"cannot remove the {leftover.kind} {leftover.path}", reason_of(error), as_root("doctor --clean")
            ) from error


def _remove(leftover: Leftover) -> None:
    if leftover.kind == "namespace":
        # Imported here because it takes 0.3 s, and most callers only look.
        from pyroute2 import netns

        netns.remove(leftover.path.name)
    elif leftover.kind == "cgroup":
        remove_cgroup(leftover.path)
    elif leftover.kind == "trace event":
        _undefine(leftover.path)
    elif leftover.path.is_dir() and not leftover.path.is_symlink():
        shutil.rmtree(leftover.path)
    else:
        leftover.path.unlink()


def cgroups_in(directory: Path) -> list[Path]:
    """A cgroup and all below it, each behind what holds it; those that are removed meanwhile may be among them."""
    return [Path(path) for path, _, _ in os.walk(directory)]


def remove_cgroup(directory: Path) -> None:
    """A cgroup, and first what somebody has made in it, the innermost before what holds it; none is no error.

    Raises:
        OSError: EBUSY where a process is in one of them.
    """
    for path in reversed(cgroups_in(directory)):
        with contextlib.suppress(FileNotFoundError):
            path.rmdir()


def _undefine(event: Path) -> None:
    """Neither truncated, which would remove everybody's events, nor opened to append, which seeks: EINVAL."""
    definitions = os.open(TRACE_EVENTS, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(definitions, f"-:{event}\n".encode())
    finally:
        os.close(definitions)
