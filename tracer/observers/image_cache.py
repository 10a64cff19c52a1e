"""Keeps compiled programs: clang takes half a second (ten on the lab's emulated processor) for the same result.

What decides a program names its file: the text, which holds this kernel's offsets; the flags; the header tree; the
compiler. A file that is missing, cut off, changed or somebody else's is compiled anew; one that cannot be written is
done without.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import platformdirs

from tracer.machine.kernel.installation import find_bcc
from tracer.observers import compiling, headers, image
from tracer.observers.image import Image, compile_image

# Some 100 KB each: three or four programs of each of a few kernels, and of some versions of nettrace.
MOST_FILES = 48
_DIGEST_BYTES = 32
_NAME = re.compile(r"[0-9a-f]{32}")


def cached_image(text: str, flags: tuple[str, ...], name: str) -> Image:
    """The compiled program, from the cache if it is there.

    Raises:
        MachineError: BCC is missing, or cannot compile it.
    """
    return _cached(directory() / key(text, flags), lambda: compile_image(text, flags, name))


def image_for_a_guest(text: str, flags: tuple[str, ...], name: str, tree: Path) -> Image:
    """The program for another kernel, compiled here with its headers, unless that is in the cache.

    Args:
        tree: Called as the header tree of that kernel is.

    Raises:
        MachineError: BCC is missing, or cannot compile it.
    """
    path = directory(of_guests=True) / key(text, flags, tree.name)
    return _cached(path, lambda: compile_image(text, flags, name, tree))


def _cached(path: Path, make: Callable[[], Image]) -> Image:
    kept = _read(path)
    if kept is not None:
        return kept
    made = make()
    with contextlib.suppress(OSError):
        _write(path, file_of(made))
    return made


def file_of(image: Image) -> bytes:
    """What its file holds."""
    content = msgspec.msgpack.encode(image)
    return hashlib.sha256(content).digest() + content


def directory(*, of_guests: bool | None = None) -> Path:
    """Where compiled programs are kept.

    Args:
        of_guests: Those that the lab's guests made, which no other kernel's root may load; None for one's own.
    """
    if of_guests is None:
        of_guests = _is_guest()
    return Path(platformdirs.user_cache_dir("nettrace")) / ("programs-of-guests" if of_guests else "programs")


def _is_guest() -> bool:
    return "NETTRACE_LAB" in os.environ


def names() -> set[str]:
    """Of the files that are kept now."""
    try:
        return {path.name for path in directory().iterdir() if not path.name.startswith(".")}
    except OSError:
        return set()


def keep_for_guests(made: dict[str, bytes]) -> None:
    """Keep what was compiled for guests, which they will look for; what cannot be kept is done without."""
    for name, content in made.items():
        if _NAME.fullmatch(name):
            with contextlib.suppress(OSError):
                _write(directory(of_guests=True) / name, content)


def key(text: str, flags: tuple[str, ...], tree_name: str | None = None) -> str:
    """Name of a program's file.

    Args:
        tree_name: Of another kernel's headers; None for the running one's.
    """
    ours = (_own_text(one) for one in (image, compiling))
    parts = (text, *flags, tree_name or headers.tree_name(), *_compiler(), *ours)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _own_text(module: object) -> str:
    """How an image is made of a text is decided there."""
    return Path(str(vars(module)["__file__"])).read_text()


def _compiler() -> Iterator[str]:
    """BCC and the LLVM that it is linked with, by their files: whoever installs another one replaces them."""
    package = find_bcc()
    library = Path("/usr/lib") / (sysconfig.get_config_var("MULTIARCH") or "")
    files = [package.with_name("version.py")] if package else []
    files += [path for pattern in ("libbcc.so*", "libLLVM*.so*", "libclang-cpp.so*") for path in library.glob(pattern)]
    for path in sorted(files):
        with contextlib.suppress(OSError):
            found = path.stat()
            yield f"{path} {found.st_size} {found.st_mtime_ns}"


def _read(path: Path) -> Image | None:
    try:
        with path.open("rb") as file:
            # Root runs what it reads here: not a file that somebody else may write.
            about = os.fstat(file.fileno())
            if about.st_mode & 0o022 or (about.st_uid != os.geteuid() and not _is_guest()):
                return None
            data = file.read()
        digest, content = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
        return msgspec.msgpack.decode(content, type=Image) if hashlib.sha256(content).digest() == digest else None
    except (OSError, msgspec.DecodeError):
        return None


def _write(path: Path, content: bytes) -> None:
    """Beside and renamed: who reads meanwhile sees the whole of one or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, beside = tempfile.mkstemp(prefix=".making-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        Path(beside).replace(path)
    except OSError:
        Path(beside).unlink(missing_ok=True)
        raise
    _forget_the_oldest(path.parent)


def _forget_the_oldest(place: Path) -> None:
    """Half-written files of runs that were killed count too."""
    written = sorted(place.iterdir(), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for path in written[MOST_FILES:]:
        path.unlink(missing_ok=True)
