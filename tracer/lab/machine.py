"""The QEMU process of the lab: one at a time, told to start, looked at, and always stoppable.

All that is known about it lies in one directory of the user (mode 0700): the sockets `agent` and
`qmp`, the serial `console`, QEMU's `pid` file and `guest.json`, which says what runs. A second
machine would halve the first: without KVM each keeps a whole core busy while it works.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from tracer.errors import LabError, MachineError
from tracer.lab.kernels import Kernel, Note

KVM_GET_API_VERSION = 0xAE00
MEMORY = "1G"
STOP_S = 3.0
# sleep=off: the clock does not wait for the host's while the guest is idle.
_COUNTING = ["-icount", "shift=0,sleep=off"]
PANIC = re.compile(r"Kernel panic|BUG: |Oops: |general protection fault")


@dataclass(frozen=True)
class Facts:
    """What runs, as guest.json keeps it.

    Args:
        kernel: Series, "6.12".
        image: Path of the initramfs; its name changes with the agent, init and modules.
        bounce: Whether every DMA goes through a bounce buffer (swiotlb=force).
        emulated: Whether the CPU is QEMU's own (TCG): no time measured there means anything.
        counting: Whether its clock counts instructions, one a nanosecond (-icount), at half the speed.
    """

    kernel: str
    release: str
    image: str
    bounce: bool
    emulated: bool
    counting: bool = False


def state() -> Path:
    """The directory of the running machine, made if it is not there."""
    import platformdirs

    directory = Path(platformdirs.user_cache_dir("nettrace")) / "lab"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if len(os.fsencode(directory / "agent")) > 107:
        raise LabError(
            "cannot make the lab's sockets",
            f"{directory}/agent is longer than the 107 bytes of a socket's address",
            "set XDG_CACHE_HOME to a shorter path",
        )
    return directory


@contextlib.contextmanager
def locked(note: Note) -> Iterator[None]:
    """Hold the lab: nobody else starts a machine or runs a command in it meanwhile."""
    with (state() / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            note("another nettrace is using the lab; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def process() -> int | None:
    """PID of the lab's QEMU; None where there is none.

    A pid file outlives its process, and the number may be somebody else's by now: only a process
    whose command line names our own socket is ours.
    """
    try:
        pid = int((state() / "pid").read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    ours = any(os.fsencode(state() / "agent") in word for word in command)
    return pid if ours and b"qemu" in command[0] else None


def running() -> Facts | None:
    """What the lab's machine runs; None where no machine runs."""
    if process() is None:
        return None
    try:
        return Facts(**json.loads((state() / "guest.json").read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def last_words(lines: int = 8) -> str:
    """What the guest's kernel, init or agent last wrote to the serial console.

    After a panic these are its first lines, which say why; registers and stack follow for pages.
    """
    try:
        text = (state() / "console").read_text(errors="replace")
    except OSError:
        return ""
    written = [line.strip() for line in text.splitlines() if line.strip()]
    panic = next((at for at, line in enumerate(written) if PANIC.search(line)), None)
    return "\n       ".join(written[-lines:] if panic is None else written[panic:][:lines])


def start(kernel: Kernel, image: Path, bounce: bool, counting: bool, idle_s: float) -> None:
    """Start QEMU in the background; it returns once its sockets listen, before the guest runs.

    Raises:
        MachineError: QEMU is missing, or refuses what it is asked for.
    """
    program = shutil.which("qemu-system-x86_64")
    if program is None:
        raise MachineError(
            "cannot start the lab",
            "qemu-system-x86_64 is not on this machine",
            "apt-get install qemu-system-x86 busybox-static",
        )
    for name in ("agent", "qmp", "pid", "guest.json", "console"):
        (state() / name).unlink(missing_ok=True)
    emulated = counting or not kvm_works()
    done = subprocess.run(
        [program, *arguments(kernel, image, bounce, emulated, idle_s), *(_COUNTING if counting else [])],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise MachineError("QEMU did not start", done.stderr.strip() or f"exit code {done.returncode}")
    facts = Facts(kernel.name, kernel.release, str(image), bounce, emulated, counting)
    (state() / "guest.json").write_text(json.dumps(asdict(facts)))


def arguments(kernel: Kernel, image: Path, bounce: bool, emulated: bool, idle_s: float) -> list[str]:
    """QEMU's command line.

    One processor: two collapse under TCG when a core of the host is busy. The network is QEMU's
    user mode, where 10.0.2.2 is the host's loopback. Its `restrict=on` would close that way too,
    and `guestfwd` opens only ports known at start, so the guest is kept at home by having no
    route and no IPv6 (see init), not by QEMU: root in the guest could add one.
    """
    words = ["console=ttyS0", "quiet", "loglevel=3", "panic=-1", "oops=panic"]
    # Of no use here, and each costs some tenths of a second of emulated time.
    words += ["apparmor=0", "audit=0", "cryptomgr.notests"]
    words += ["swiotlb=force"] if bounce else []
    words += [f"nettrace.idle={idle_s:g}"]
    directory = state()
    options = {
        "machine": "q35",
        "accel": "tcg" if emulated else "kvm",
        "cpu": "max",
        "smp": "1",
        "m": MEMORY,
        "display": "none",
        "kernel": str(kernel.bootable),
        "initrd": str(image),
        "append": " ".join(words),
        "qmp": f"unix:{directory}/qmp,server=on,wait=off",
        "pidfile": f"{directory}/pid",
        "sandbox": "on,obsolete=deny,resourcecontrol=deny",
        "serial": f"file:{directory}/console",
        "fsdev": "local,id=host,path=/,security_model=none,readonly=on,multidevs=remap",
        "netdev": "user,id=net,ipv6=off",
        "chardev": f"socket,id=agent,path={directory}/agent,server=on,wait=off",
    }
    devices = [
        "virtio-serial-pci",
        "virtserialport,chardev=agent,name=nettrace",
        "virtio-9p-pci,fsdev=host,mount_tag=host",
        "e1000e,netdev=net,romfile=",
    ]
    flags = ["-nodefaults", "-no-user-config", "-no-reboot", "-daemonize"]
    flags += [word for name, value in options.items() for word in (f"-{name}", value)]
    return flags + [word for device in devices for word in ("-device", device)]


def kvm_works() -> bool:
    """Whether the processor can run a guest and /dev/kvm answers.

    The device alone says little: nested in a virtual machine without vmx or svm it opens, and
    the guest then hangs.
    """
    try:
        flags = Path("/proc/cpuinfo").read_text().split("flags", 1)[1].split("\n", 1)[0].split()
        with Path("/dev/kvm").open("rb") as device:
            version = fcntl.ioctl(device, KVM_GET_API_VERSION)
    except (OSError, IndexError):
        return False
    return version == 12 and bool({"vmx", "svm"} & set(flags))


def stop() -> bool:
    """End the machine, however it feels; false where none was running."""
    pid = process()
    if pid is None:
        return False
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        for end in (_quit, lambda: os.kill(pid, signal.SIGTERM), lambda: os.kill(pid, signal.SIGKILL)):
            with contextlib.suppress(OSError):
                end()
            if select.select([watched], [], [], STOP_S)[0]:
                break
    finally:
        os.close(watched)
    for name in ("agent", "qmp", "pid", "guest.json"):
        (state() / name).unlink(missing_ok=True)
    return True


def _quit() -> None:
    """Ask QEMU to end. It speaks first and needs its capabilities acknowledged (QMP)."""
    with socket.socket(socket.AF_UNIX) as monitor:
        monitor.settimeout(STOP_S)
        monitor.connect(str(state() / "qmp"))
        monitor.recv(65536)
        monitor.sendall(b'{"execute": "qmp_capabilities"}{"execute": "quit"}')
        monitor.recv(65536)


def wait_until_gone(deadline_s: float) -> bool:
    """Whether QEMU has ended, waiting for at most so many seconds."""
    deadline = time.monotonic() + deadline_s
    pid = process()
    if pid is None:
        return True
    with contextlib.suppress(ProcessLookupError):
        watched = os.pidfd_open(pid)
        try:
            return bool(select.select([watched], [], [], deadline - time.monotonic())[0])
        finally:
            os.close(watched)
    return True
