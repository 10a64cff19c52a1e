"""The guest's root file system: of this machine's files the few that an experiment needs, as one compressed image.

A guest on the host's own files (9p) cannot be saved: QEMU refuses to move a mounted 9p. The image is read-only and
shared by all kernels. It is made of files as they are now, remembers their sizes and times, and is made anew when one
of them changes. nettrace's own modules are not in it: they are handed in (tracer.lab.sources).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from tracer.errors import LabError
from tracer.lab import places

LIBRARIES = ("bcc", "msgspec", "pyroute2", "platformdirs", "_cffi_backend")
"""Packages and modules outside the standard library that an experiment imports."""

PROGRAMS = ("dash", "perf", "setpriv")
"""As far as they are here; all else is busybox."""

FILES = (
    "/etc/ld.so.cache", "/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/usr/include/linux/bpf_common.h",
)  # fmt: skip
DIRECTORIES = ("dev", "etc", "host", "proc", "root", "run", "seen", "sys", "tmp", "var", "usr/lib/modules")
LINKS = {"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64", "var/run": "/run",
         "usr/bin/sh": "dash", "usr/bin/python3": ""}  # fmt: skip

# Opened by their names (ctypes): by Python's bcc, and by what is in the standard library.
_OPENED = ("libbcc.so.0", "libc.so.6", "librt.so.1")

# Of the standard library: tests, other programs, and what compiles extensions (25 MB).
_LEFT_OUT = ("test", "tests", "idlelib", "lib2to3", "tkinter", "ensurepip", "turtledemo", "pydoc_data")

_BYTECODE = f".{sys.implementation.cache_tag}.pyc"

_ELF = b"\x7fELF"


def interpreter() -> str:
    """The Python that runs in the guest: the one below any virtual environment."""
    return os.path.realpath(sys.executable)


def library_path() -> list[str]:
    """Where the guest's Python finds LIBRARIES, in this order."""
    return [sysconfig.get_path("purelib"), "/usr/lib/python3/dist-packages"]


def image() -> Path:
    """The image of the files as they are now, made unless it is there.

    Raises:
        LabError: squashfs-tools or something that the guest needs is missing, or there is no room.
    """
    listing = places.images() / f"{_inputs()}.json"
    found = _kept(listing)
    if found is None:
        # Two made at once need not be the same, as bytecode is written meanwhile: guests of one would be stale.
        with places.locked(places.home() / "image.lock", lambda _: None, "makes it"):
            found = _kept(listing) or _make(listing)
    return found


def _kept(listing: Path) -> Path | None:
    """The image of this listing, if it is there and its files are as they were."""
    try:
        known = json.loads(listing.read_bytes())
        path = places.images() / str(known["image"])
        is_current = known["files"] == [list(one) for one in _states(name for name, *_ in known["files"])]
        return path if is_current and path.exists() else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _inputs() -> str:
    ours = Path(__file__).read_bytes()
    return hashlib.sha256(repr((interpreter(), library_path())).encode() + ours).hexdigest()[:12]


def _states(names: Iterable[str]) -> list[tuple[str, int, int]]:
    found = []
    for name in names:
        state = os.stat(name)  # noqa: PTH116  thousands of them: a Path each would double the time
        found.append((name, state.st_size, state.st_mtime_ns))
    return found


def _make(listing: Path) -> Path:
    files = _states(sorted(contents()))
    path = places.images() / f"{hashlib.sha256(repr(files).encode()).hexdigest()[:12]}.squashfs"
    with tempfile.TemporaryDirectory(".part", "image", places.images()) as work:
        unfinished = Path(work, "root")
        try:
            _compress([name for name, *_ in files], unfinished)
            Path(work, "files").write_text(json.dumps({"image": path.name, "files": files}))
            unfinished.rename(path)
            Path(work, "files").rename(listing)
        except OSError as error:
            raise LabError("cannot make the root image of the lab's guest", str(error)) from error
    return path


def _compress(names: list[str], path: Path) -> None:
    program = shutil.which("sqfstar")
    if program is None:
        raise LabError("cannot make the root image of the lab's guest", "squashfs-tools is not on this machine")
    command = [program, "-quiet", "-no-progress", "-comp", "lz4", "-all-root", str(path)]
    with tempfile.TemporaryFile() as said, subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=said, stderr=said
    ) as process:  # fmt: skip
        try:
            with tarfile.open(fileobj=process.stdin, mode="w|", bufsize=1 << 20) as archive:
                _fill(archive, names)
        except BrokenPipeError:
            pass  # it says why
        if process.stdin is not None:
            process.stdin.close()
        if process.wait() != 0:
            said.seek(0)
            raise LabError(
                "cannot make the root image of the lab's guest", said.read().decode(errors="replace").strip()
            )


def _fill(archive: tarfile.TarFile, names: list[str]) -> None:
    made: set[str] = set()
    for directory in DIRECTORIES:
        _add_directory(archive, directory, made)
    for name in names:
        inside = place_of(name)
        _add_directory(archive, os.path.dirname(inside), made)  # noqa: PTH120
        with open(name, "rb") as file:  # noqa: PTH123
            archive.addfile(_entry(archive.gettarinfo(arcname=inside, fileobj=file)), file)
    for name, target in (LINKS | {"usr/bin/python3": interpreter()}).items():
        if name not in made and not (name == "usr/bin/python3" and interpreter() == "/usr/bin/python3"):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, target
            archive.addfile(link)


def _entry(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """A regular file even where the host has two names for it."""
    entry.type, entry.linkname = tarfile.REGTYPE, ""
    return entry


def _add_directory(archive: tarfile.TarFile, name: str, made: set[str]) -> None:
    if not name or name in made:
        return
    _add_directory(archive, os.path.dirname(name), made)  # noqa: PTH120
    made.add(name)
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = tarfile.DIRTYPE, 0o755
    archive.addfile(entry)


def place_of(name: str) -> str:
    """Where a file of the host lies in the image: /lib/x is usr/lib/x, as on the host; all else where it is named."""
    top, _, rest = name.lstrip("/").partition("/")
    return f"{LINKS[top]}/{rest}" if top in ("bin", "sbin", "lib", "lib64") else f"{top}/{rest}"


def contents() -> set[str]:
    """All files of the image, as the host names them.

    Raises:
        LabError: one of LIBRARIES is not here.
    """
    files = {interpreter(), *(name for name in FILES if os.path.exists(name))}  # noqa: PTH110
    files |= set(_below(sysconfig.get_path("stdlib")))
    for library in LIBRARIES:
        files |= set(_library(library))
    purelib = Path(sysconfig.get_path("purelib"))
    files |= {str(path) for path in purelib.glob("nettrace_copies-*.dist-info/*") if path.is_file()}
    files |= {found for program in PROGRAMS if (found := shutil.which(program))}
    return files | _needed_by(files)


def _library(name: str) -> Iterator[str]:
    for directory in library_path():
        if Path(directory, name).is_dir():
            return _below(str(Path(directory, name)))
        if module := list(Path(directory).glob(f"{name}.*")):
            return iter(map(str, module))
    raise LabError(f"the lab's guest needs {name}", f"it is not below {' or '.join(library_path())}")


def _below(top: str) -> Iterator[str]:
    for directory, directories, files in os.walk(top):
        directories[:] = [name for name in directories if name not in _LEFT_OUT and not name.startswith("config-")]
        yield from (f"{directory}/{name}" for name in files if _is_wanted(f"{directory}/{name}"))


def _is_wanted(name: str) -> bool:
    """A file; of bytecode this interpreter's, without which an emulated processor compiles for half a minute."""
    return os.path.isfile(name) and (not name.endswith(".pyc") or name.endswith(_BYTECODE))  # noqa: PTH113


def _needed_by(files: set[str]) -> set[str]:
    """Shared libraries: those that are opened by name, and by ldd what is linked."""
    opened = _ldconfig()
    programs = [name for name in files if _is_elf(name)] + opened
    said = subprocess.run(["ldd", *programs], capture_output=True, text=True, check=False).stdout
    words = (line.split() for line in said.splitlines())
    return {*opened, *(path for line in words for path in line if path.startswith("/") and not path.endswith(":"))}


def _is_elf(name: str) -> bool:
    with open(name, "rb") as file:  # noqa: PTH123
        return file.read(4) == _ELF


def _ldconfig() -> list[str]:
    program = shutil.which("ldconfig") or "/sbin/ldconfig"
    said = subprocess.run([program, "-p"], capture_output=True, text=True, check=False).stdout
    rows = [line.split() for line in said.splitlines() if "=>" in line and "x86-64" in line]
    return [row[-1] for row in rows if row[0] in _OPENED]
