"""QEMU: its command line, and one process of it.

A machine is a directory: the serial `console` and what QEMU itself `said`. Its two conversations, with QEMU (monitor)
and with the guest's agent, are sockets that listen before QEMU is there, so nobody ever waits for them to appear.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tracer.errors import LabError, MachineError
from tracer.lab import needs, places
from tracer.lab.kernels import Kernel
from tracer.lab.monitor import Monitor

KVM_GET_API_VERSION = 0xAE00
MEMORY = 1 << 30
NEEDED_MEMORY = 300 << 20
"""What a guest takes of the host's memory, measured: 235 MB."""

STOP_S = 3.0
# sleep=off: the clock does not wait for the host's while the guest is idle.
_COUNTING = ("-icount", "shift=0,sleep=off")
# TCG does `rep movsb` byte by byte: a kernel that takes it for fast clears memory 7 times slower than by words.
_EMULATED_CPU = "max,-erms,-fsrm"
PANIC = re.compile(r"Kernel panic|BUG: |Oops: |general protection fault")


@dataclass(frozen=True)
class Hardware:
    """What a guest is made of: all that decides whether a saved one can go on.

    Args:
        initramfs: Its name changes with the agent, init and modules.
        root: The root image; None for the host's own files over 9p.
        bounce: Whether every DMA goes through a bounce buffer (swiotlb=force).
        emulated: Whether the CPU is QEMU's own (TCG): no time measured there means anything.
        counting: Whether its clock counts instructions, one a nanosecond (-icount), at half the speed.
    """

    kernel: Kernel
    initramfs: Path
    root: Path | None
    bounce: bool = False
    emulated: bool = True
    counting: bool = False

    def words(self) -> list[str]:
        """QEMU's command line as far as it makes the machine.

        One processor: two collapse under TCG when a core of the host is busy. The network is QEMU's
        user mode, where 10.0.2.2 is the host's loopback. Its `restrict=on` would close that way too,
        and `guestfwd` opens only ports known at start, so the guest is kept at home by having no
        route and no IPv6 (see init), not by QEMU: root in the guest could add one.
        """
        words = ["console=ttyS0", "quiet", "loglevel=3", "panic=-1", "oops=panic"]
        # Of no use here, and each costs some tenths of a second of emulated time.
        words += ["apparmor=0", "audit=0", "cryptomgr.notests"]
        words += ["swiotlb=force"] if self.bounce else []
        options = {
            "accel": "tcg" if self.emulated else "kvm",
            "cpu": _EMULATED_CPU if self.emulated else "max",
            "smp": "1",
            "m": f"{MEMORY >> 20}M",
            "display": "none",
            "kernel": str(self.kernel.bootable),
            "initrd": str(self.initramfs),
            "append": " ".join(words),
            "fsdev": "local,id=host,path=/,security_model=none,readonly=on,multidevs=remap",
            "netdev": "user,id=net,ipv6=off",
        }
        devices = [
            "virtio-serial-pci",
            "virtserialport,chardev=agent,name=nettrace",
            "virtio-9p-pci,fsdev=host,mount_tag=host",
            "e1000e,netdev=net,romfile=",
        ]
        flags = ["-nodefaults", "-no-user-config", "-no-reboot"]
        if self.root is not None:
            flags += ["-drive", f"file={self.root},if=none,id=root,format=raw,readonly=on"]
            devices.append("virtio-blk-pci,drive=root")
        flags += [word for name, value in options.items() for word in (f"-{name}", value)]
        return flags + [word for device in devices for word in ("-device", device)]


def plumbing(directory: Path, monitor: int, agent: int, ram: int | None, *, shared: bool, incoming: bool) -> list[str]:
    """The rest of the command line: descriptors and files that differ from one process to the next.

    Args:
        monitor: A socket that listens; so is `agent`.
        ram: A file for the guest's RAM; None for memory of QEMU's own.
        shared: Whether what the guest writes reaches that file.
        incoming: Wait for a saved state instead of booting.
    """
    options = {
        "machine": "q35" if ram is None else "q35,memory-backend=ram",
        "chardev": f"socket,id=agent,fd={agent},server=on,wait=off",
        "serial": f"file:{directory}/console",
        "sandbox": "on,obsolete=deny,resourcecontrol=deny",
        "mon": "chardev=monitor,mode=control",
    }
    words = ["-chardev", f"socket,id=monitor,fd={monitor},server=on,wait=off"]
    words += [word for name, value in options.items() for word in (f"-{name}", value)]
    if ram is not None:
        file = f"memory-backend-file,id=ram,size={MEMORY},mem-path=/proc/self/fd/{ram}"
        words += ["-object", f"{file},share={'on' if shared else 'off'}"]
    return words + (["-incoming", "defer"] if incoming else [])


class Machine:
    """A QEMU that was started here, or, found by its directory, by an earlier command."""

    def __init__(self, directory: Path, pid: int) -> None:
        self.directory = directory
        self.pid = pid

    def connect(self, name: str) -> socket.socket:
        """A connection to `agent` or `monitor`."""
        connection = socket.socket(socket.AF_UNIX)
        try:
            with _short(self.directory / name) as address:
                connection.connect(address)
        except OSError as error:
            connection.close()
            why, fix = error.strerror or str(error), "repeat the command: a new guest is started"
            raise LabError("the lab's guest is gone", why, fix) from error
        return connection

    def monitor(self) -> Monitor:
        """A conversation with QEMU."""
        return Monitor(self.connect("monitor"))

    def is_alive(self) -> bool:
        """Whether this very QEMU runs; the number may be somebody else's by now."""
        try:
            command = Path(f"/proc/{self.pid}/cmdline").read_bytes()
        except OSError:
            return False
        return os.fsencode(f"{self.directory}/console") in command and b"qemu" in command

    def last_words(self, lines: int = 8) -> str:
        """What the guest's kernel, init or agent last wrote to the console; else what QEMU said.

        After a panic these are its first lines, which say why; registers and stack follow for pages.
        """
        for name in ("console", "said"):
            with contextlib.suppress(OSError):
                text = (self.directory / name).read_text(errors="replace")
                written = [line.strip() for line in text.splitlines() if line.strip()]
                panic = next((at for at, line in enumerate(written) if PANIC.search(line)), None)
                if written:
                    return "\n       ".join(written[-lines:] if panic is None else written[panic:][:lines])
        return ""

    def wait_until_gone(self, deadline_s: float) -> bool:
        """Whether QEMU has ended, waiting for at most so many seconds."""
        if not self.is_alive():
            return True
        try:
            watched = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return True
        try:
            return bool(select.select([watched], [], [], deadline_s)[0])
        finally:
            os.close(watched)

    def kill(self) -> None:
        """End it at once: of a guest that was for one command nothing is worth keeping."""
        if self.is_alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def stop(self) -> bool:
        """End it, however it feels; false where it had ended."""
        if not self.is_alive():
            return False
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)
            if self.wait_until_gone(STOP_S):
                break
        return True


def launch(
    hardware: Hardware,
    directory: Path,
    *,
    ram: int | None = None,
    shared: bool = True,
    state: int | None = None,
    stays: bool = False,
) -> Machine:
    """Start QEMU; its sockets take connections at once, though it may not have started yet.

    Args:
        ram: See plumbing().
        state: Descriptor of a saved state that is going to be loaded; None to boot.
        stays: It outlives this process; without, the kernel ends it when this process ends, however that may be.

    Raises:
        MachineError: something that the lab needs is not here, or there is no memory.
    """
    program = needs.path_of("qemu-system-x86_64")
    _require_memory()
    for name in ("agent", "monitor", "console", "said"):
        (directory / name).unlink(missing_ok=True)
    with _listening(directory / "agent") as agent, _listening(directory / "monitor") as monitor:
        words = plumbing(directory, monitor, agent, ram, shared=shared, incoming=state is not None)
        words += _COUNTING if hardware.counting else ()
        process = _start(
            [program, *hardware.words(), *words],
            directory / "said",
            [one for one in (agent, monitor, ram, state) if one is not None],
            stays=stays,
        )
    return Machine(directory, process.pid)


def _start(command: Sequence[str], said: Path, passed: list[int], *, stays: bool) -> subprocess.Popen[bytes]:
    with said.open("wb") as file:
        return subprocess.Popen(
            command if stays else ["setpriv", "--pdeathsig", "KILL", *command],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            pass_fds=passed,
            start_new_session=True,  # the terminal's Ctrl-C is not for QEMU
        )


@contextlib.contextmanager
def _listening(path: Path) -> Iterator[int]:
    with socket.socket(socket.AF_UNIX) as listener, _short(path) as address:
        listener.bind(address)
        listener.listen()
        yield listener.fileno()


@contextlib.contextmanager
def _short(path: Path) -> Iterator[str]:
    """The same file by a name that fits into the 107 bytes of a socket's address, however long the user's cache is."""
    directory = os.open(path.parent, os.O_PATH)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


def _require_memory() -> None:
    text = Path("/proc/meminfo").read_text()
    found = re.search(r"^MemAvailable: *(\d+) kB", text, re.MULTILINE)
    if found and int(found.group(1)) << 10 < NEEDED_MEMORY:
        raise MachineError(
            "there is no memory for another guest of the lab",
            f"it takes {NEEDED_MEMORY >> 20} MB, and {int(found.group(1)) >> 10} MB are available",
            "wait for another command to end, or: nettrace lab down",
        )


@contextlib.contextmanager
def own_directory() -> Iterator[Path]:
    """A directory for a machine that lives as long as this process; what dead ones left is removed."""
    with _locked(places.guests()):
        for old in places.guests().iterdir():
            _remove_if_dead(old)
        directory = Path(tempfile.mkdtemp(dir=places.guests()))
        held = os.open(directory, os.O_RDONLY)
        fcntl.flock(held, fcntl.LOCK_EX)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        os.close(held)


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _remove_if_dead(directory: Path) -> None:
    """Its process holds a lock on it as long as it lives; a QEMU that outlived that is ended."""
    with contextlib.suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for process in Path("/proc").glob("[0-9]*"):
                Machine(directory, int(process.name)).stop()
            shutil.rmtree(directory, ignore_errors=True)
        finally:
            os.close(descriptor)


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
