"""Whether the kernel's functions can be named: nobody can without the addresses in /proc/kallsyms."""

from __future__ import annotations

import functools
from pathlib import Path

_KALLSYMS, _SYSCTL = Path("/proc/kallsyms"), Path("/proc/sys/kernel/kptr_restrict")


@functools.cache
def why_no_names() -> str | None:
    """None if they can; else the reason, with what would help."""
    try:
        with _KALLSYMS.open() as symbols:
            # A function's: per-CPU data, which older kernels list first, begins at address 0.
            address = next((line.split()[0] for line in symbols if line.split()[1] in "tT"), "0")
    except (OSError, IndexError) as error:
        return f"{_KALLSYMS} cannot be read: {error}"
    return None if int(address, 16) else f"kernel.kptr_restrict={_level()} hides the kernel's addresses: {_help()}"


def _level() -> str:
    try:
        return _SYSCTL.read_text().strip()
    except OSError:
        return "?"


def _help() -> str:
    return "sysctl kernel.kptr_restrict=1, and CAP_SYSLOG"
