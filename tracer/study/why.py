"""Why one mode costs more than another: where the CPU time goes that it takes beyond, and its packets. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tracer.books.mechanics import NOTHING, Mechanics, packet_text

# What else was measured of two modes says more of a difference than this; a smaller one is no reason.
_LEAST_RATIO = 1.25


class Part(NamedTuple):
    """The stage that takes most of the CPU time that one mode needs beyond another.

    Args:
        ns_per_byte: What it takes more in this stage.
        share: Of all stages that take more, 0 to 1.
    """

    stage: str
    ns_per_byte: float
    share: float

    def __str__(self) -> str:
        return f"{self.stage.replace('_', ' ')} takes {self.ns_per_byte:.3f} ns/B more, {self.share:.0%}"


def largest_part(dear: Mapping[str, float], cheap: Mapping[str, float]) -> Part | None:
    """None where one of them was not sampled, or no stage takes more.

    Args:
        dear, cheap: ns of CPU a payload byte, by stage.
    """
    if not dear or not cheap:
        return None
    more = {stage: cost - cheap.get(stage, 0.0) for stage, cost in dear.items()}
    added = sum(one for one in more.values() if one > 0)
    stage = max(more, key=lambda one: more[one])
    return Part(stage, more[stage], more[stage] / added) if more[stage] > 0 else None


def why_dearer(
    dear: tuple[Mapping[str, float], Mechanics | None], cheap: tuple[Mapping[str, float], Mechanics | None]
) -> str:
    """The largest cause with its figure, and what comes with it; empty where nothing of it was measured.

    Args:
        dear, cheap: Of each mode, its CPU time by stage (see largest_part), and its mechanics.
    """
    part = largest_part(dear[0], cheap[0])
    packets = _packets(dear[1] or NOTHING, cheap[1] or NOTHING)
    spent = f"{part} of the difference" if part is not None else ""
    return "; ".join(words for words in (spent, packets) if words)


def _packets(dear: Mechanics, cheap: Mechanics) -> str:
    """Only where they are clearly smaller."""
    if dear.packet_bytes is None or cheap.packet_bytes is None or not dear.packet_bytes:
        return ""
    ratio = cheap.packet_bytes / dear.packet_bytes
    if ratio < _LEAST_RATIO:
        return ""
    return f"it takes {ratio:.1f}x the packets ({packet_text(dear)}, not {packet_text(cheap)})"
