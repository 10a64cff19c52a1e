"""The guest's initramfs: busybox, the modules that reach the root file system, init and agent."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tracer.lab import modules, needs
from tracer.lab.kernels import Kernel

HERE = Path(__file__).parent
DIRECTORIES = ("bin", "boot", "dev", "host", "proc", "root", "sys", "written")
CONSOLE = (5, 1)
"""Major and minor number of /dev/console, which init needs before devtmpfs is there."""


@dataclass(frozen=True)
class Entry:
    """One file of an archive; `mode` holds the file type too, as in stat(2)."""

    name: str
    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


def build(kernel: Kernel) -> Path:
    """The kernel's initramfs, made now unless one of the same inputs lies beside the kernel."""
    path = kernel.directory / f"initramfs-{key(kernel)}.cpio"
    if not path.exists():
        unfinished = path.with_suffix(".part")
        unfinished.write_bytes(archive(contents(kernel)))
        for old in kernel.directory.glob("initramfs-*.cpio"):
            old.unlink()
        unfinished.rename(path)
    return path


def key(kernel: Kernel) -> str:
    """What the image is made of, as a short hash; another key means another image."""
    program = busybox().stat()
    inputs = (kernel.release, kernel.directory, program.st_size, program.st_mtime_ns, modules.BOOT)
    scripts = [(HERE / name).read_bytes() for name in ("init", "agent.py", "image.py")]
    return hashlib.sha256(repr(inputs).encode() + b"".join(scripts)).hexdigest()[:12]


def busybox() -> Path:
    """The host's statically linked busybox."""
    return Path(needs.path_of("busybox"))


def contents(kernel: Kernel) -> list[Entry]:
    """All files of the kernel's initramfs; the modules' names sort in load order."""
    program, script = stat.S_IFREG | 0o755, stat.S_IFREG | 0o644
    entries = [Entry(name, stat.S_IFDIR | 0o755) for name in DIRECTORIES]
    entries += [
        Entry("dev/console", stat.S_IFCHR | 0o600, device=CONSOLE),
        Entry("bin/busybox", program, busybox().read_bytes()),
        Entry("init", program, (HERE / "init").read_bytes()),
        Entry("agent.py", script, (HERE / "agent.py").read_bytes()),
    ]
    entries += _tree(kernel.modules, "modules")
    for position, file in enumerate(modules.boot_files(kernel.modules)):
        name = f"boot/{position:02}-{modules.name_of(file.name)}.ko"
        entries.append(Entry(name, script, modules.read(file)))
    return entries


def _tree(top: Path, name: str) -> list[Entry]:
    """A directory and all below it: the modules that modprobe may want later, without a way to the host."""
    entries = [Entry(name, stat.S_IFDIR | 0o755)]
    for path in sorted(path for path in top.rglob("*") if not path.is_symlink()):
        inside = f"{name}/{path.relative_to(top)}"
        directory = path.is_dir()
        entries.append(Entry(inside, stat.S_IFDIR | 0o755) if directory else
                       Entry(inside, stat.S_IFREG | 0o644, path.read_bytes()))  # fmt: skip
    return entries


def archive(entries: Iterable[Entry]) -> bytes:
    """A cpio archive in the "newc" format (Documentation/driver-api/early-userspace)."""
    files = [*entries, Entry("TRAILER!!!", 0)]
    return b"".join(_record(number, entry) for number, entry in enumerate(files, 1))


def _record(number: int, entry: Entry) -> bytes:
    name = entry.name.encode() + b"\0"
    # inode, mode, uid, gid, links, mtime, size, device, device of the node, name's length, checksum
    fields = (number, entry.mode, 0, 0, 1, 0, len(entry.data), 0, 0, *entry.device, len(name), 0)
    header = b"070701" + b"".join(b"%08x" % field for field in fields)
    return _padded(header + name) + _padded(entry.data)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
