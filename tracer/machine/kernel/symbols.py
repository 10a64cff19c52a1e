"""Whether the kernel tells this process where its functions lie: without that, addresses in stacks have no names."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import NamedTuple

_SYMBOLS, _RESTRICTION = Path("/proc/kallsyms"), Path("/proc/sys/kernel/kptr_restrict")
# The first function of kernel text; every kernel has it.
_FIRST = b"_stext"


class Hidden(NamedTuple):
    """Why addresses are hidden, and what shows them."""

    why: str
    fix: str


@functools.cache
def hidden_names() -> Hidden | None:
    """None if this process sees where the kernel's functions lie; else the reason.

    Told by a function: data of each CPU has addresses from 0 on, and comes first on x86 before 6.15.
    """
    return None if address_of(_FIRST) else hidden_by(read_restriction())


def hidden_by(kptr_restrict: str | None) -> Hidden:
    """The reason for addresses of 0 in /proc/kallsyms, by kernel.kptr_restrict.

    kernel/ksyms_common.c, kallsyms_show_value(): 2 hides them from everybody, 0 and 1 show them to CAP_SYSLOG.
    """
    sysctl = f"kernel.kptr_restrict = {kptr_restrict or 'unknown'}"
    if kptr_restrict == "2":
        return Hidden(f"{sysctl} hides where kernel functions lie, from root too", "sysctl -w kernel.kptr_restrict=1")
    return Hidden(f"{sysctl} shows where kernel functions lie to CAP_SYSLOG alone", "run it as root, with CAP_SYSLOG")


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
