"""Network namespaces: made, removed, entered, looked into.

pyroute2 is imported inside functions: it takes 0.3 s, and a run over loopback needs nothing of it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from tracer.errors import MachineError, reason_of
from tracer.machine.leftovers import NAMESPACES
from tracer.machine.privilege import refusal

_CLONE_NEWNET = 0x40000000  # linux/sched.h
# Of the calling thread: /proc/self is the main thread's.
_OWN = Path("/proc/thread-self/ns/net")

Answer = TypeVar("Answer")


def netns_inode(name: str | None) -> int:
    """What the kernel knows a namespace by (net->ns.inum); None asks for the caller's own.

    Raises:
        MachineError: if there is none of that name.
    """
    return _stat(name).st_ino


def _stat(name: str | None) -> os.stat_result:
    try:
        return (_OWN if name is None else NAMESPACES / name).stat()
    except FileNotFoundError as error:
        if name is None:
            raise MachineError(
                "this process sees no /proc", f"there is no {_OWN}", "mount -t proc proc /proc"
            ) from error
        what, why = f"there is no network namespace {name}", f"{error.filename}: {error.strerror}"
        raise MachineError(what, why, "ip netns list shows all") from error


def enter_netns(name: str | None) -> None:
    """Move the calling thread into a namespace; None stays.

    Raises:
        MachineError: if there is none of that name.
        PrivilegeError: if this user may not (CAP_SYS_ADMIN).
    """
    if name is None:
        return
    _stat(name)
    enter_netns_of(NAMESPACES / name)


def enter_netns_of(path: Path) -> None:
    """The same by a file that stands for the namespace, such as /proc/PID/ns/net.

    Raises:
        OSError: the process has gone.
        PrivilegeError: if this user may not (CAP_SYS_ADMIN).
    """
    libc = ctypes.CDLL(None, use_errno=True)  # os.setns() comes with Python 3.12
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.setns(descriptor, _CLONE_NEWNET) != 0:
            reason = os.strerror(ctypes.get_errno())
            name = path.name if path.parent == NAMESPACES else path
            raise refusal(f"cannot enter the network namespace {name}", f"setns: {reason}", "CAP_SYS_ADMIN")
    finally:
        os.close(descriptor)


def inside(name: str | None, read: Callable[[], Answer]) -> Answer:
    """What read() answers inside a namespace; the caller stays where it is."""
    if name is None:
        return read()
    # A thread of its own, because setns moves one thread and there may be no way back.
    with ThreadPoolExecutor(max_workers=1) as executor:
        executor.submit(enter_netns, name).result()
        return executor.submit(read).result()


def read_optmem_max(name: str | None) -> int | None:
    """net.core.optmem_max of a namespace, bytes: the room a socket has for unread completion notifications.

    Each namespace has its own since 6.8; before that only the first one shows the file, and its value rules in all.
    None where this kernel does not tell.
    """
    own = inside(name, _read_optmem_max)
    return own if own is not None else _read_optmem_max()


def _read_optmem_max() -> int | None:
    try:
        return int(Path("/proc/sys/net/core/optmem_max").read_text())
    except OSError:
        return None


def read_congestion_control(name: str | None) -> str | None:
    """net.ipv4.tcp_congestion_control of a namespace; one that paces (bbr) spends CPU on timers. None if not told."""
    return inside(name, _read_congestion_control)


def _read_congestion_control() -> str | None:
    try:
        return Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip()
    except OSError:
        return None


def create_netns(name: str) -> None:
    """Make a named namespace, as `ip netns add` does.

    Raises:
        MachineError: if the name is taken, or the kernel has no namespaces.
        PrivilegeError: if this user may not (CAP_SYS_ADMIN).
    """
    try:
        with ThreadPoolExecutor(max_workers=1) as executor:
            executor.submit(_create, name).result()
    except FileExistsError as error:
        raise MachineError(
            f"the network namespace {name} exists already",
            "a run that was killed has left it, or another nettrace is using it",
            "nettrace doctor --clean",
        ) from error
    except PermissionError as error:
        raise refusal(
            "cannot make a network namespace, which --link lo can do without",
            reason_of(error),
            "CAP_SYS_ADMIN",
            "CAP_NET_ADMIN",
        ) from error
    except OSError as error:
        with contextlib.suppress(OSError):  # the name is there before the namespace is
            (NAMESPACES / name).unlink()
        what = "cannot make a network namespace"
        raise MachineError(what, reason_of(error), "run it over loopback: --link lo") from error


def _create(name: str) -> None:
    """In a thread of its own, which ends in the new namespace: pyroute2's create() forks a child for that."""
    from pyroute2 import netns

    libc = ctypes.CDLL(None, use_errno=True)  # os.unshare() comes with Python 3.12
    if libc.unshare(_CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    netns.attach(name, "thread-self")


def remove_netns(name: str) -> None:
    """Remove a named namespace and, once the last process has left it, all devices in it; none is no error."""
    from pyroute2 import netns

    with contextlib.suppress(FileNotFoundError):
        netns.remove(name)


@contextlib.contextmanager
def signals_held() -> Iterator[None]:
    """SIGINT and SIGTERM wait until the end of the block.

    For steps that must not be cut in two: a handler that raises would lose what was made but not yet noted down. It
    would also raise in the helper that pyroute2 forks, which would then run the clean-up of its parent.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
