"""Kernel modules: which the lab keeps, and in which order the guest must load them."""

from __future__ import annotations

import lzma
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from tracer.errors import LabError
from tracer.lab import apt

BOOT = (
    "virtio_pci", "virtio_console", "virtio_blk", "squashfs", "9pnet_virtio", "9p", "overlay", "e1000e", "veth",
)  # fmt: skip
"""Loaded by the guest's first process, before there is a root file system; and veth, which runs ask for."""

# The cipher of kTLS (AES-GCM): the kernel asks for its parts by alias, so no module depends on them.
CIPHERS = ("gcm", "ctr", "ghash_generic", "aes_generic", "seqiv", "crypto_null")

KEPT = (*BOOT, *CIPHERS, "virtio_net", "tun", "dummy", "ifb", "netdevsim", "virtio_rng", "msr")
"""Kept in the cache besides the whole of net/, with all that they depend on."""

Dependencies = Mapping[str, tuple[str, ...]]
"""Module file -> the files it needs, as depmod writes them: each after all that need it."""


def name_of(path: str) -> str:
    """The kernel's name of a module file: "net/9p/9pnet_virtio.ko.xz" -> "9pnet_virtio"."""
    return path.rsplit("/", 1)[-1].split(".ko", 1)[0].replace("-", "_")


def parse_dependencies(text: str) -> dict[str, tuple[str, ...]]:
    """The contents of modules.dep."""
    rows = (line.split(":", 1) for line in text.splitlines() if ":" in line)
    return {path: tuple(needs.split()) for path, needs in rows}


def load_order(wanted: Iterable[str], dependencies: Dependencies) -> list[str]:
    """Files to insert, each after all that it needs. A name without a file is left out."""
    by_name = {name_of(path): path for path in dependencies}
    order: dict[str, None] = {}
    for path in (by_name[name] for name in wanted if name in by_name):
        order.update(dict.fromkeys([*reversed(dependencies[path]), path]))
    return list(order)


def boot_files(tree: Path) -> list[Path]:
    """The module files that the guest needs to reach its root, in load order.

    Raises:
        LabError: A module of BOOT is neither a file nor built into the kernel.
    """
    dependencies = parse_dependencies((tree / "modules.dep").read_text())
    builtin = {name_of(line) for line in (tree / "modules.builtin").read_text().splitlines()}
    missing = set(BOOT) - builtin - {name_of(path) for path in dependencies}
    if missing:
        raise LabError(
            f"the kernel of {tree.name} lacks {', '.join(sorted(missing))}",
            "without these modules the guest has no root file system, agent or NIC",
            "take another kernel: nettrace lab kernels",
        )
    return [tree / path for path in load_order(BOOT, dependencies)]


def read(path: Path) -> bytes:
    """A module, decompressed: busybox's insmod may not know the compression."""
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data


def prune(kernel: Path, release: str) -> None:
    """Delete the modules that no experiment needs: some 10 of 100 to 400 MB stay."""
    tree = kernel / "lib/modules" / release
    files = {name_of(path.name): path for path in (tree / "kernel").rglob("*.ko*")}
    wanted = [name for name, path in files.items() if path.is_relative_to(tree / "kernel/net")]
    kept: set[str] = set()
    pending = [name for name in (*KEPT, *wanted) if name in files]
    while pending:
        name = pending.pop()
        if name not in kept:
            kept.add(name)
            pending += needs(read(files[name]))
    for name in files.keys() - kept:
        files[name].unlink()
    # busybox has its own depmod; the guest's modprobe is busybox too, so kmod is not needed.
    apt.run(["busybox", "depmod", "-b", str(kernel), release])


def needs(module: bytes) -> list[str]:
    """Names of the modules that a module needs, from the "depends" string that modpost wrote."""
    found = re.search(rb"(?:^|\0)depends=([^\0]+)\0", module)
    return found.group(1).decode().replace("-", "_").split(",") if found else []
