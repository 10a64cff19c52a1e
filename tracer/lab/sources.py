"""nettrace's own modules, handed to a guest: a guest that was saved holds those of that day.

They travel as a tar with their bytecode, since to compile them takes an emulated processor seconds; the bytecode
names no time stamp (PEP 552, unchecked), because the guest's clock and files are its own.
"""

from __future__ import annotations

import hashlib
import io
import py_compile
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tracer.lab import places

HOME = Path(__file__).resolve().parents[2]
PACKAGES = ("tracer", "workloads", "bpf")
_KEPT_BUNDLES = 4
_SETTLED_S = 600.0


def files() -> Iterator[Path]:
    """Modules, the engine, and the C of bpf/."""
    for package in PACKAGES:
        for path in sorted((HOME / package).rglob("*")):
            if path.suffix in (".py", ".so", ".c", ".h") and "__pycache__" not in path.parts:
                yield path


def digest() -> str:
    """A name for the modules as they are now."""
    whole = hashlib.sha256()
    for path in files():
        whole.update(f"{path.relative_to(HOME)}\0".encode() + path.read_bytes())
    return whole.hexdigest()[:16]


def settled() -> bool:
    """Whether nobody is editing them: another release was installed, and the next runs will use the same."""
    return time.time() - max(path.stat().st_mtime for path in files()) > _SETTLED_S


def bundle(name: str) -> bytes:
    """The tar of the modules of this digest."""
    path = places.sources() / f"{name}.tar"
    try:
        return path.read_bytes()
    except FileNotFoundError:
        pass
    content = _tar()
    if digest() != name:
        return content  # edited meanwhile: right for now, and not what the name says
    with tempfile.NamedTemporaryFile(dir=places.sources(), suffix=".part", delete=False) as file:
        file.write(content)
    Path(file.name).rename(path)
    for old in sorted(places.sources().iterdir(), key=lambda one: one.stat().st_mtime)[:-_KEPT_BUNDLES]:
        old.unlink(missing_ok=True)
    return content


def _tar() -> bytes:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as archive, tempfile.TemporaryDirectory() as work:
        for path in files():
            name = str(path.relative_to(HOME))
            archive.add(path, name)
            if path.suffix == ".py":
                compiled = Path(work, "module.pyc")
                py_compile.compile(
                    str(path), str(compiled), name, doraise=True,
                    invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
                )  # fmt: skip
                tag = Path(_bytecode_of(name))
                archive.add(compiled, str(tag))
    return whole.getvalue()


def _bytecode_of(name: str) -> str:
    import importlib.util

    return importlib.util.cache_from_source(name)
