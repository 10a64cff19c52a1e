"""Processes that run already: which are meant, which can be watched, and which are theirs."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable
from pathlib import Path

from tracer.errors import MachineError, UsageError
from tracer.machine.leftovers import FIRST_PID_NAMESPACE, cgroup2_mount, cgroups_in, pid_namespace

# PF_KTHREAD of linux/sched.h: of the flags in /proc/PID/stat.
_KERNEL_THREAD = 0x00200000
_DEAD = frozenset("ZXx")
_FIND = "give the id of the program whose sockets you mean: nettrace attach -p $(pidof PROGRAM)"


def pids_of(words: Iterable[str]) -> list[int]:
    """Process ids as pidof and pgrep print them: apart by blanks or commas.

    Raises:
        UsageError: one is no number.
    """
    found = [word for text in words for word in re.split(r"[\s,]+", text) if word]
    for word in found:
        if not re.fullmatch(r"[0-9]{1,9}", word) or not int(word):
            raise UsageError(f"'{word}' is no process id", "it takes a number from 1 on", _FIND)
    return list(dict.fromkeys(int(word) for word in found))


def check(pid: int) -> None:
    """Whether it is a process that may be attached to.

    Raises:
        UsageError: there is none, or it is one that has no sockets.
    """
    leader = process_of(pid)
    if leader is None:
        raise UsageError(f"there is no process {pid}", "it has ended, or has another id here", _FIND)
    if leader == os.getpid():
        raise UsageError(f"{pid} is nettrace itself", "it cannot watch itself", _FIND)
    state, flags = _state(pid)
    if flags & _KERNEL_THREAD:
        why = "it holds no sockets: programs do, and the kernel works for them"
        raise UsageError(f"{pid} ({name_of(pid)}) is a thread of the kernel", why, _FIND)
    if state in _DEAD:
        why = "it has ended and holds no sockets; its parent has not looked after it yet"
        fix = f"nettrace attach -p {parent_of(pid)}, which is its parent, if that is what you mean"
        raise UsageError(f"{pid} ({name_of(pid)}) is a zombie", why, fix)


def process_of(pid: int) -> int | None:
    """The process that a process or a thread belongs to; None where there is none."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(errors="replace")
    except OSError:
        return None
    return int(status.partition("\nTgid:")[2].split(maxsplit=1)[0])


def users_of(pids: Iterable[int]) -> list[int]:
    """Whom these run as (effective user ids), each once, the first one's first; of one that has ended nobody knows."""
    found: dict[int, None] = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            status = Path(f"/proc/{pid}/status").read_text(errors="replace")
            found[int(status.partition("\nUid:")[2].split(maxsplit=2)[1])] = None
    return list(found)


def is_alive(pid: int) -> bool:
    """Whether it is there, and no zombie."""
    return _state(pid)[0] not in _DEAD


def require_own_ids() -> None:
    """Whether /proc, where ids are looked up, is of the pid namespace that this process is in.

    Raises:
        MachineError: it is another one's, or none.
    """
    try:
        own = Path("/proc/self").readlink().name == str(os.getpid())
    except OSError:
        own = False
    if not own:
        raise MachineError(
            "cannot attach by process ids",
            "/proc shows the ids of another pid namespace than the one that nettrace is in",
            "mount -t proc proc /proc, as unshare --mount-proc does; or run it outside",
        )


def namespace_of_ids() -> int:
    """Inode of the pid namespace whose ids are meant here; 0 for the first one, whose ids are the kernel's own."""
    here = pid_namespace("self")
    return 0 if here in (None, FIRST_PID_NAMESPACE) else here


def is_populated(cgroup: Path) -> bool:
    """Whether a process is in it, or below it."""
    try:
        return "populated 1" in (cgroup / "cgroup.events").read_text()
    except OSError:
        return False


def processes() -> list[tuple[int, str]]:
    """All but the kernel's threads and this one: id and name."""
    pids = sorted(int(path.name) for path in Path("/proc").glob("[0-9]*"))
    states = ((pid, *_state(pid)) for pid in pids if pid != os.getpid())
    return [(pid, name_of(pid)) for pid, state, flags in states if state not in _DEAD and not flags & _KERNEL_THREAD]


def name_of(pid: int) -> str:
    """What it calls itself; "ended" where it has."""
    try:
        return own_name(pid)
    except OSError:
        return "ended"


def own_name(pid: int) -> str:
    """What it calls itself: any bytes, and cut off in the middle of a character where they are more than 15.

    Raises:
        OSError: it has ended.
    """
    return Path(f"/proc/{pid}/comm").read_bytes().decode(errors="backslashreplace").rstrip("\n")


def parent_of(pid: int) -> int:
    """0 where it has ended."""
    try:
        return int(_after_name(pid)[1])
    except OSError:
        return 0


def _state(pid: int) -> tuple[str, int]:
    """proc_pid_stat(5): state, and flags."""
    try:
        fields = _after_name(pid)
    except OSError:
        return "X", 0
    return fields[0], int(fields[6])


def _after_name(pid: int) -> list[str]:
    """The name stands in parentheses and may hold some."""
    return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()


def descendants_of(pids: Iterable[int]) -> set[int]:
    """Children of these that live, their children, and so on."""
    parents = {int(path.name): parent_of(int(path.name)) for path in Path("/proc").glob("[0-9]*")}
    roots, found = set(pids), set[int]()
    while new := {pid for pid, parent in parents.items() if parent in roots | found} - found - roots:
        found |= new
    return found


def direct_descriptors(pid: int) -> list[str]:
    """Sockets that io_uring holds for a process and that are not among its descriptors, as "socket:[INODE]".

    A kernel that names it by its protocol alone (6.1, 6.12) does not say which one it is: none is shown.
    """
    links = _descriptors(pid)
    rings = [number for number, link in links.items() if link == _RING]
    registered = {name for number in rings for name in _registered(pid, number)}
    return sorted(registered - set(links.values()))


_RING = "anon_inode:[io_uring]"


def _descriptors(pid: int) -> dict[str, str]:
    """Number -> what it leads to; as far as it may be read."""
    links: dict[str, str] = {}
    with contextlib.suppress(OSError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                links[entry.name] = str(entry.readlink())
    return links


def _registered(pid: int, ring: str) -> list[str]:
    """io_uring/fdinfo.c: a line "    0: socket:[INODE]" for each file."""
    try:
        text = Path(f"/proc/{pid}/fdinfo/{ring}").read_text(errors="replace")
    except OSError:
        return []
    return re.findall(r"^ *\d+: (socket:\[\d+\])$", text, re.MULTILINE)


def cgroup_named(name: str) -> Path:
    """A cgroup by its directory, or by its path as in /proc/PID/cgroup.

    Raises:
        UsageError: there is none.
        MachineError: no cgroup2 hierarchy is mounted.
    """
    mount = _mount()
    for path in (Path(name), mount / name.lstrip("/")):
        if (path / "cgroup.procs").is_file() and path.resolve().is_relative_to(mount):
            return path.resolve()
    raise UsageError(f"there is no cgroup {name}", f"none of that path is below {mount}", "see: cat /proc/PID/cgroup")


def cgroup_of_unit(name: str) -> Path:
    """The cgroup of a systemd unit; ".service" may be left out.

    Raises:
        UsageError: no unit of that name has one, which says that it does not run.
        MachineError: no cgroup2 hierarchy is mounted.
    """
    full = name if "." in name else f"{name}.service"
    found = sorted(path for path in cgroups_in(_mount()) if path.name == full)
    if not found:
        why = "no cgroup has its name: it does not run"
        raise UsageError(f"there is no unit {full}", why, f"systemctl status {full}")
    return found[0]


def _mount() -> Path:
    mount = cgroup2_mount()
    if mount is None:
        raise MachineError("there is no cgroup2 hierarchy", "none is mounted", "see: nettrace doctor")
    return mount
