"""What a file may hold, asked before its types: strings that are shown, not sent; numbers that a counter can have."""

from __future__ import annotations

from typing import Any

import msgspec

from tracer.texts import printable

# The kernel's widest counters. A longer integer overflows whatever it is divided by or formatted as.
_MOST_BITS = 64


def sound(found: Any) -> Any:
    """A JSON document with its strings made printable, the names of members included.

    Raises:
        msgspec.ValidationError: an integer is wider than any counter.
        RecursionError: it is nested too deeply.
    """
    if isinstance(found, str):
        return printable(found)
    if isinstance(found, list):
        return [sound(one) for one in found]
    if isinstance(found, dict):
        return {printable(name): sound(value) for name, value in found.items()}
    if isinstance(found, int) and found.bit_length() > _MOST_BITS:
        raise msgspec.ValidationError(f"a number has {found.bit_length()} bits, and no counter more than {_MOST_BITS}")
    return found
