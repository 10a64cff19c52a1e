"""How many of the bytes that were handed over, or taken, were copied: one rule for all who say so. Pure."""

from __future__ import annotations

from tracer.model.sockets import READ_BY_COPY, SENT_BY_COPY, Moved


def copied_of_sent(moved: Moved, later_bytes: int | None) -> int | None:
    """Bytes of the sent ones that were copied, by the send call or after it; one that was copied twice counts twice.

    None where the way of some is not known, or nobody saw what became of pinned pages.

    Args:
        later_bytes: Copied after the send call.
    """
    if moved.sent_by("unknown") or later_bytes is None:
        return None
    return moved.sent_by(*SENT_BY_COPY) + later_bytes


def copied_of_read(moved: Moved) -> int:
    """Bytes that reads copied, to peek at them too."""
    return moved.read_by(*READ_BY_COPY)


def copies_of_sent(moved: Moved, later_bytes: int | None) -> float | None:
    """Copies per byte sent; None where that is not known, or nothing was."""
    copied = copied_of_sent(moved, later_bytes)
    return copied / moved.sent_bytes if copied is not None and moved.sent_bytes else None


def copies_of_read(moved: Moved) -> float | None:
    """Copies per byte read; None where nothing was."""
    return copied_of_read(moved) / moved.read_bytes if moved.read_bytes else None
