"""How many of the bytes that were handed over, or taken, were copied: one rule for all who say so. Pure."""

from __future__ import annotations

from tracer.model.sockets import READ_BY_COPY, SENT_BY_COPY, Moved, Socket, Totals


def ciphered_of_sent(moved: Moved) -> int:
    """Bytes that plain sends gave to a cipher above TCP, which may take the place of the copy: nobody saw whether."""
    if isinstance(moved, Totals):
        return moved.ciphered_sent_bytes
    return moved.sent_by("copy") if isinstance(moved, Socket) and moved.above == "ulp" else 0


def ciphered_of_read(moved: Moved) -> int:
    """Bytes that plain reads got from one."""
    if isinstance(moved, Totals):
        return moved.ciphered_read_bytes
    return moved.read_by("copy") if isinstance(moved, Socket) and moved.above == "ulp" else 0


def copied_of_sent(moved: Moved, later_bytes: int | None) -> int | None:
    """Bytes of the sent ones that were copied, by the send call or after it; one that was copied twice counts twice.

    None where the way of some is not known, a cipher took some, or nobody saw what became of pinned pages.

    Args:
        later_bytes: Copied after the send call.
    """
    if moved.sent_by("unknown") or ciphered_of_sent(moved) or later_bytes is None:
        return None
    return moved.sent_by(*SENT_BY_COPY) + later_bytes


def copied_of_read(moved: Moved) -> int | None:
    """Bytes that reads copied, to peek at them too; None where a cipher gave some."""
    return None if ciphered_of_read(moved) else moved.read_by(*READ_BY_COPY)


def copies_of_sent(moved: Moved, later_bytes: int | None) -> float | None:
    """Copies per byte sent; None where that is not known, or nothing was."""
    copied = copied_of_sent(moved, later_bytes)
    return copied / moved.sent_bytes if copied is not None and moved.sent_bytes else None


def copies_of_read(moved: Moved) -> float | None:
    """Copies per byte read; None where that is not known, or nothing was."""
    copied = copied_of_read(moved)
    return copied / moved.read_bytes if copied is not None and moved.read_bytes else None
