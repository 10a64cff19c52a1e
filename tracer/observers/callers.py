"""Which function called skb_copy_ubufs(): names for the return addresses that the program counted by."""

from __future__ import annotations

import re
from pathlib import Path

from tracer.books.function_rows import caller_tally
from tracer.model import Tally
from tracer.observers.program import Program

TABLE = "callers"
UNKNOWN = "unknown"

# A kernel address has 16 digits; symbols nearby share the first ones.
_SHARED_DIGITS = range(13, 7, -1)


def read_callers(program: Program) -> dict[str, Tally]:
    """Tallies of the deferred copies by the function that asked for them."""
    counted = [(address.value, tally.events, tally.bytes) for address, tally in program.bpf[TABLE].items()]
    # Read now: a module may have come since the probes were planned.
    symbols = b"\n" + Path("/proc/kallsyms").read_bytes() if counted else b""
    found: dict[str, Tally] = {}
    for address, events, size in counted:
        name = caller_tally(symbol_at(symbols, address) or UNKNOWN)
        so_far = found.get(name, Tally(events=0, bytes=0))
        found[name] = Tally(events=so_far.events + events, bytes=so_far.bytes + size)
    return found


def symbol_at(symbols: bytes, address: int) -> str | None:
    """The function that an address lies in, without the compiler's suffix; None where addresses are hidden.

    Args:
        symbols: /proc/kallsyms, behind a newline.
    """
    digits = b"%016x" % address
    for shared in _SHARED_DIGITS:
        lines = re.findall(rb"\n(%s[0-9a-f]*) [tTwW] ([^\s.]+)" % digits[:shared], symbols)
        below = [(int(at, 16), name) for at, name in lines if int(at, 16) <= address]
        if below:
            return str(max(below)[1].decode())
    return None
