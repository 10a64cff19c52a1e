"""Whether the kernel tells this process where its functions lie: without that, addresses in stacks have no names."""

from __future__ import annotations

import functools
from pathlib import Path

from tracer.machine.kernel.capabilities import hidden_by, shown_by

_SYMBOLS, _RESTRICTION = Path("/proc/kallsyms"), Path("/proc/sys/kernel/kptr_restrict")
# The first function of kernel text; every kernel has it.
_FIRST = b"_stext"


@functools.cache
def why_no_names() -> str | None:
    """None if this process sees where the kernel's functions lie; else the reason, and what shows them.

    Told by a function: data of each CPU has addresses from 0 on, and comes first on x86 before 6.15.
    """
    if address_of(_FIRST):
        return None
    restriction = read_restriction()
    return f"{hidden_by(restriction)}: {shown_by(restriction)}"


def read_restriction() -> str | None:
    """kernel.kptr_restrict; None where it cannot be read."""
    try:
        return _RESTRICTION.read_text().strip()
    except OSError:
        return None


def address_of(function: bytes) -> int:
    """Where a function starts, from /proc/kallsyms; 0 where that hides or does not have it."""
    try:
        with _SYMBOLS.open("rb") as lines:
            found = next((line for line in lines if line.endswith(b" T %s\n" % function)), b"0")
    except OSError:
        return 0
    return int(found.split()[0], 16)
