"""The mechanics behind a run's cost: into how many packets the payload was cut, and how often the kernel had to tell.

Pure. An skb is a packet here; on the wire it may be several (GSO).
"""

from __future__ import annotations

import msgspec

from tracer.books.modes import known
from tracer.books.quantities import MIN_SAMPLES
from tracer.books.stage_table import Work
from tracer.model import CpuProfile, Recording
from tracer.units import format_count

# Congestion controls that let each packet go by a timer (SK_PACING_NEEDED, net/ipv4/tcp_bbr.c).
_PACING = ("bbr",)


class Mechanics(msgspec.Struct, frozen=True, kw_only=True):
    """Means over the observed pass; each is None where nobody counted it.

    Args:
        packet_bytes: Payload of an skb that left IP.
        fragments: Pieces of memory that it was made of.
        sends_per_message: Send calls that accepted bytes.
        completions_per_send: Notifications read from the error queue, or from io_uring's, for a zero-copy send; one can
            notify a range of sends. None of a mode that gets none.
        acks_per_packet: Packets without payload that came back to the sender, by skb that left. None over UDP.
        timer_share: Of the CPU time, by sampled stacks, what went into timers: those that pace, and all others.
        paced_by: The congestion control, where it is one that lets each packet go by a timer.
    """

    packet_bytes: float | None
    fragments: float | None
    sends_per_message: float | None
    completions_per_send: float | None
    acks_per_packet: float | None = None
    timer_share: float | None = None
    paced_by: str | None = None


NOTHING = Mechanics(packet_bytes=None, fragments=None, sends_per_message=None, completions_per_send=None)


def mechanics_of(recording: Recording) -> Mechanics:
    """Packets as the rows of its sockets count them, ACKs as TCP does, the rest as the engine does."""
    observed = recording.observed
    if observed is None:
        return NOTHING
    left = recording.totals.left if recording.totals is not None else None
    done, asked = observed.completions, observed.asked_sends or observed.sends
    return Mechanics(
        packet_bytes=_mean(left.bytes, left.packets) if left is not None else None,
        fragments=_mean(left.fragments, left.packets) if left is not None else None,
        sends_per_message=_mean(observed.sends, observed.messages),
        completions_per_send=_mean(done.ranges, asked) if done is not None else None,
        acks_per_packet=_mean(observed.acks, left.packets) if left is not None and observed.acks is not None else None,
        timer_share=_timer_share(recording.profile),
        paced_by=_paced_by(recording),
    )


def _timer_share(profile: CpuProfile | None) -> float | None:
    """0 where no sample of many hit a timer."""
    if profile is None or profile.samples < MIN_SAMPLES:
        return None
    return sum(cost.share for cost in profile.stages if cost.stage == Work.TIMERS)


def _paced_by(recording: Recording) -> str | None:
    mode = known(recording.experiment.mode)
    control = recording.experiment.congestion or recording.host.congestion_control
    return control if control in _PACING and mode is not None and not mode.is_datagrams else None


def _mean(amount: int, number: int) -> float | None:
    return amount / number if number else None


def packet_text(found: Mechanics) -> str:
    """What a packet carries; empty where nobody counted packets."""
    if found.packet_bytes is None or found.fragments is None:
        return ""
    pieces = "fragment" if round(found.fragments, 1) == 1 else "fragments"
    return f"{format_count(round(found.packet_bytes))} B in {found.fragments:.1f} {pieces}"
