"""Saved guests: the RAM and the state of one that has everything loaded, to go on from as often as one likes.

One snapshot is one directory, complete from the moment it has its name::

    snapshots/6.12-0123456789ab.2/  ram.bin (sparse, some 400 MB on disk)  state.bin (0.5 MB)  key.json

The name's hash is the key: all that decides whether a guest can go on under this QEMU, and whether what it holds is
still what would be made today. What follows the point is how far it was prepared: 0 booted, and then step by step.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tracer.errors import LabError
from tracer.lab import needs, places
from tracer.lab.machine import MEMORY, Hardware, Machine, plumbing

KEPT = 5
"""Snapshots that stay, the last used ones; some 350 MB each."""

_HERE = Path(__file__).parent
# What goes on living inside a saved guest, besides what its initramfs names.
_RESIDENT = ("resident.py",)
_CHUNK, _PAGE = 1 << 20, 4096
_ZEROS = bytes(_CHUNK)


@dataclass(frozen=True)
class Snapshot:
    """One that can be loaded.

    Args:
        sources: Digest of nettrace's modules that it holds (tracer.lab.sources).
    """

    directory: Path
    step: int
    sources: str

    def size(self) -> int:
        """Bytes on disk."""
        return sum(path.stat().st_blocks * 512 for path in self.directory.iterdir())

    @contextlib.contextmanager
    def opened(self) -> Iterator[tuple[int, int]]:
        """Descriptors of the RAM's file and the state: they stay the same files, whoever removes or replaces them."""
        with contextlib.ExitStack() as stack:
            found = []
            for name, flags in (("ram.bin", os.O_RDWR), ("state.bin", os.O_RDONLY)):
                found.append(os.open(self.directory / name, flags))
                stack.callback(os.close, found[-1])
            os.utime(self.directory)
            yield found[0], found[1]

    def remove(self) -> None:
        """Delete it; half a one is never seen."""
        _remove(self.directory)


def facts_of(hardware: Hardware, resident: str) -> dict[str, str]:
    """What decides whether a saved guest is valid, in the words in which a change is told.

    Args:
        resident: What the caller has running in the guest, as a digest.
    """
    qemu = Path(needs.path_of("qemu-system-x86_64")).resolve()
    words = hardware.words() + plumbing(Path("/"), 0, 0, 0, shared=True, incoming=False)
    files = {str(hardware.root): "ROOT", str(hardware.initramfs): "INITRAMFS"}
    for path, name in files.items():
        words = [word.replace(path, name) for word in words]
    ours = b"".join((_HERE / name).read_bytes() for name in _RESIDENT)
    return {
        "the kernel": f"{hardware.kernel.release} {hardware.kernel.version} {_stamp(hardware.kernel.bootable)}",
        "the kernel's command line or the machine's devices": " ".join(words),
        "the root image": str(hardware.root),
        "the lab's init, agent or modules": hardware.initramfs.name,
        "QEMU": f"{qemu} {_stamp(qemu)}",
        "the CPU": "emulated" if hardware.emulated else _host_cpu(),
        "nettrace": hashlib.sha256(ours).hexdigest() + resident,
    }


def _stamp(path: Path) -> str:
    state = path.stat()
    return f"{state.st_size} {state.st_mtime_ns}"


def _host_cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().split("\n\n", 1)[0].splitlines()
    return "\n".join(line for line in lines if line.startswith(("model", "stepping", "microcode", "flags")))


class Place:
    """Where the snapshots of one kind of guest are.

    Args:
        kind: What the user would call it: "6.12", "6.12-bounce".
    """

    def __init__(self, kind: str, facts: dict[str, str]) -> None:
        self.kind, self.facts = kind, facts
        self.name = f"{kind}-{hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:12]}"

    def best(self, least: int) -> Snapshot | None:
        """The furthest prepared one that there is; None where none has got as far as `least`."""
        found = [one for one in self._all() if one.step >= least]
        return max(found, key=lambda one: one.step, default=None)

    def _all(self) -> Iterator[Snapshot]:
        for directory in places.snapshots().glob(f"{self.name}.?"):
            if one := _read(directory):
                yield one

    def why_stale(self) -> str | None:
        """What has changed since the last snapshot of this kind; None where there is no other one."""
        for directory in places.snapshots().glob(f"{self.kind}-????????????.?"):
            if not directory.name.startswith(self.name):
                with contextlib.suppress(OSError, ValueError):
                    old = json.loads((directory / "key.json").read_bytes())["facts"]
                    return " and ".join(name for name, value in self.facts.items() if old.get(name) != value)
        return None

    @contextlib.contextmanager
    def lock(self, *, wait: bool) -> Iterator[bool]:
        """Whether nobody else makes this kind of snapshot; held as long as the body runs."""
        with (places.snapshots() / f"{self.kind}.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
                return
            yield True

    def log(self) -> Path:
        """Where the process that makes a snapshot tells how far it is."""
        return places.snapshots() / f"{self.kind}.log"

    def save(self, machine: Machine, ram: int, step: int, sources: str, *, last: bool) -> Snapshot:
        """Stop the guest, save it and put it in the place of those that were prepared less far; it stays stopped.

        Args:
            ram: Descriptor of the memory that the guest uses as RAM.
            last: It is going to be kept: it must outlive a power failure.

        Raises:
            LabError: QEMU refuses.
            OSError: no room.
        """
        # Of one that was killed: the lock of this kind is ours, and what is being removed is doomed in any case.
        for old in [*places.snapshots().glob(f"{self.kind}-*.part"), *places.snapshots().glob("removed-*.part")]:
            shutil.rmtree(old, ignore_errors=True)
        with tempfile.TemporaryDirectory(".part", f"{self.kind}-", places.snapshots()) as work:
            unfinished = Path(work, "snapshot")
            unfinished.mkdir(mode=0o700)
            with (unfinished / "state.bin").open("wb") as state, machine.monitor() as monitor:
                monitor.save(state.fileno())
            with (unfinished / "ram.bin").open("wb") as file:
                copy_sparse(ram, file.fileno())
                if last:
                    os.fsync(file.fileno())
            key = {"facts": self.facts, "sources": sources, "boot": None if last else _boot()}
            (unfinished / "key.json").write_text(json.dumps(key))
            directory = places.snapshots() / f"{self.name}.{step}"
            _remove(directory)
            unfinished.rename(directory)
        # Those of another key stay until they are pruned: two checkouts of nettrace may take turns.
        for old in places.snapshots().glob(f"{self.name}.?"):
            if old != directory:
                _remove(old)
        return Snapshot(directory, step, sources)


def copy_sparse(source: int, target: int) -> None:
    """The whole of the guest's RAM; pages of zeros become holes."""
    os.ftruncate(target, MEMORY)
    position = 0
    while position < MEMORY:
        try:
            position = os.lseek(source, position, os.SEEK_DATA)
        except OSError:  # no data after this
            return
        end = os.lseek(source, position, os.SEEK_HOLE)
        for at in range(position, end, _CHUNK):
            _copy_used(os.pread(source, min(_CHUNK, end - at), at), target, at)
        position = end


def _copy_used(chunk: bytes, target: int, at: int) -> None:
    """Runs of pages that are not all zeros."""
    if chunk == _ZEROS[: len(chunk)]:
        return
    began: int | None = None
    for offset in range(0, len(chunk) + _PAGE, _PAGE):
        page = chunk[offset : offset + _PAGE]
        used = page != _ZEROS[: len(page)]
        if used and began is None:
            began = offset
        elif not used and began is not None:
            os.pwrite(target, chunk[began:offset], at + began)
            began = None


def everything() -> list[Snapshot]:
    """All snapshots, the last used one first."""
    found = [one for path in places.snapshots().glob("*.?") if (one := _read(path))]
    return sorted(found, key=lambda one: -one.directory.stat().st_mtime)


def _read(directory: Path) -> Snapshot | None:
    try:
        key = json.loads((directory / "key.json").read_bytes())
        if key["boot"] not in (None, _boot()):
            return None  # the machine may have gone down before all of it was on the disk
        return Snapshot(directory, int(directory.suffix[1:]), key["sources"])
    except (OSError, ValueError, KeyError):
        return None


def remove_prepared(place: Place) -> None:
    """Delete the snapshots of this kind; the next one that is made is of what there is now."""
    for directory in places.snapshots().glob(f"{place.name}.?"):
        _remove(directory)


def remove_other(place: Place, sources: str) -> None:
    """Delete those of this kind that hold other modules than these."""
    found = place.best(0)
    if found is not None and found.sources != sources:
        remove_prepared(place)


def prune(keep: int = KEPT) -> int:
    """Remove all but the last used ones, and images that no snapshot and no listing names; bytes that were freed."""
    before = used()
    for one in everything()[keep:]:
        one.remove()
    if keep == 0:
        for path in [*places.images().iterdir(), *places.sources().iterdir()]:
            path.unlink(missing_ok=True) if path.is_file() else shutil.rmtree(path, ignore_errors=True)
    _remove_unnamed_images()
    return before - used()


def _remove_unnamed_images() -> None:
    named = set()
    for listing in places.images().glob("*.json"):
        with contextlib.suppress(OSError, ValueError, KeyError):
            named.add(json.loads(listing.read_bytes())["image"])
    keys = [path.read_text() for path in places.snapshots().glob("*/key.json")]
    for path in places.images().glob("*.squashfs"):
        if path.name not in named and not any(path.name in key for key in keys):
            path.unlink(missing_ok=True)


def used() -> int:
    """Bytes on disk of snapshots and images."""
    files = [*places.snapshots().rglob("*"), *places.images().rglob("*")]
    return sum(path.stat().st_blocks * 512 for path in files if path.is_file())


def _remove(directory: Path) -> None:
    """By another name first: whoever looks for it meanwhile finds all of it or nothing."""
    with contextlib.suppress(FileNotFoundError):
        doomed = Path(tempfile.mkdtemp(".part", "removed-", places.snapshots()))
        directory.rename(doomed / "snapshot")
    shutil.rmtree(doomed, ignore_errors=True)


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def no_room() -> str | None:
    """None where a snapshot fits on the disk while it replaces another; else what is missing."""
    free = shutil.disk_usage(places.snapshots()).free
    needed = 500 << 20
    return None if free >= needed else f"{free >> 20} MB are free in {places.snapshots()}, and it takes {needed >> 20}"


def require_room() -> None:
    """Raise LabError where there is none."""
    if why := no_room():
        raise LabError("there is no room for a snapshot of the lab's guest", why)
