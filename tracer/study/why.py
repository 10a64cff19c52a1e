"""Why one mode costs more than another: where the CPU time goes that it takes beyond, and its packets' mechanics.

Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tracer.books.mechanics import NOTHING, Mechanics, packet_text

# What else was measured of two modes says more of a difference than this; a smaller one is no reason.
_LEAST_RATIO = 1.25
# ACKs are few, and their number depends on how the reader was scheduled.
_LEAST_RATIO_OF_ACKS = 2.0
# Timers are named where they take so much more of the CPU time, of 1.
_LEAST_SHARE = 0.1


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
        return f"{self.ns_per_byte:.3f} ns/B more in {self.stage.replace('_', ' ')}, {self.share:.0%}"


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
    """What it has more: the largest cause with its figure, and what comes with it; empty where nothing was measured.

    Args:
        dear, cheap: Of each mode, its CPU time by stage (see largest_part), and its mechanics.
    """
    part = largest_part(dear[0], cheap[0])
    mechanics = (dear[1] or NOTHING, cheap[1] or NOTHING)
    spent = f"{part} of the difference" if part is not None else ""
    told = (spent, _packets(*mechanics), _timers(*mechanics), _acks(*mechanics))
    return "; ".join(words for words in told if words)


def _packets(dear: Mechanics, cheap: Mechanics) -> str:
    """Only where they are clearly smaller."""
    if dear.packet_bytes is None or cheap.packet_bytes is None or not dear.packet_bytes:
        return ""
    ratio = cheap.packet_bytes / dear.packet_bytes
    if ratio < _LEAST_RATIO:
        return ""
    paced = f", each paced by {dear.paced_by}" if dear.paced_by else ""
    return f"{ratio:.1f}x the packets, of {packet_text(dear)} instead of {packet_text(cheap)}{paced}"


def _timers(dear: Mechanics, cheap: Mechanics) -> str:
    """Only where they take clearly more of its CPU time."""
    if dear.timer_share is None or cheap.timer_share is None or dear.timer_share - cheap.timer_share < _LEAST_SHARE:
        return ""
    return f"{dear.timer_share:.0%} of its CPU time in timers instead of {cheap.timer_share:.0%}"


def _acks(dear: Mechanics, cheap: Mechanics) -> str:
    """Only where it gets clearly more of them, for as many bytes."""
    more, less = _acks_per_mib(dear), _acks_per_mib(cheap)
    if more is None or not less or more / less < _LEAST_RATIO_OF_ACKS:
        return ""
    return f"{more:,.0f} ACKs a MiB instead of {less:,.0f}"


def _acks_per_mib(found: Mechanics) -> float | None:
    if found.acks_per_packet is None or not found.packet_bytes:
        return None
    return found.acks_per_packet / found.packet_bytes * (1 << 20)
