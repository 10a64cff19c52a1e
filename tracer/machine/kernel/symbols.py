"""Whether the kernel tells this process where its functions lie: without that, addresses in stacks have no names."""

from __future__ import annotations

import functools
from pathlib import Path

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


def hidden_by(kptr_restrict: str | None) -> str:
    """The reason for addresses of 0 in /proc/kallsyms, by kernel.kptr_restrict.

    kernel/ksyms_common.c, kallsyms_show_value(): 2 hides them from everybody, 0 and 1 show them to CAP_SYSLOG.
    """
    whom = "from root too" if kptr_restrict == "2" else "from those without CAP_SYSLOG"
    return f"kernel.kptr_restrict = {kptr_restrict or 'unknown'} hides where kernel functions lie, {whom}"


def shown_by(kptr_restrict: str | None) -> str:
    """What shows them."""
    return "sysctl -w kernel.kptr_restrict=1" if kptr_restrict == "2" else "run it as root, with CAP_SYSLOG"


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
