"""Equalities that hold if every byte was found."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class LawState(StrEnum):
    """Whether both sides of a conservation law are equal."""

    HOLDS = "holds"
    BROKEN = "broken"
    UNKNOWN = "unknown"


class Law(msgspec.Struct, frozen=True, kw_only=True):
    """A conservation law with both its sides in bytes (or notifications, where the note says so).

    Args:
        id: "F." and "T." are the function and the tracepoint observer's, "R." the sockets' own, and those that
            compare them with the engine; the others are the engine's or compare two observers.
        explanation: What could explain a broken law: drops, a tap, a late packet; empty where nothing is known to.
    """

    id: str
    statement: str
    state: LawState
    left: int | None
    right: int | None
    note: str = ""
    explanation: str = ""
