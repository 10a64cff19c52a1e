"""What a mode is: a way to hand a message to the kernel, and what that should cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tracer.model import Link, Stage

Copies = Mapping[Stage, float]


@dataclass(frozen=True)
class Mode:
    """A way to send a message of 8 heap-allocated fields.

    Args:
        summary: One line for help texts.
        sends: The calls that move one message, for the report.
        engine_mode: Its number in workloads/engine/engine.h, enum engine_mode.
        packs: The fields are first copied into one contiguous buffer, in user space.
        asks_zerocopy: The kernel is asked not to copy, and completions come back.
        predicts: By link, what each stage should do to a payload byte: bytes of the stage by payload bytes, 0 where
            the stage should not be seen at all. For a device: one with scatter-gather and no bounce buffer.
    """

    name: str
    summary: str
    sends: str
    engine_mode: int
    packs: bool
    asks_zerocopy: bool
    predicts: Mapping[Link, Copies]


def copied_once() -> Mapping[Link, Copies]:
    """The payload is copied into the socket buffer by the send call, and out of it by the receiver's."""
    looped = {Stage.COPY_IN: 1.0, Stage.PIN: 0.0, Stage.DEFERRED_COPY: 0.0, Stage.COPY_OUT: 1.0}
    return {Link.LO: looped, Link.VETH: looped, Link.NIC: {**looped, Stage.LINEARIZE: 0.0, Stage.DMA: 1.0}}


@dataclass(frozen=True)
class Conditions:
    """What of the way is not as Mode.predicts supposes.

    Args:
        linear: The device has no scatter-gather.
        bounced: Every DMA goes through a bounce buffer.
        summed: The device makes no checksums.
        tapped: A packet socket gets a copy of what the device sends.
    """

    linear: bool = False
    bounced: bool = False
    summed: bool = False
    tapped: bool = False


USUAL = Conditions()


def predicted(mode: Mode, link: Link, conditions: Conditions = USUAL) -> Copies:
    """What each stage should do to a byte that is sent once, on any link in any condition: the one oracle."""
    copies = dict(mode.predicts[link])
    # Pages of the socket's own are never copied for a tap, nor to be summed up: pinned ones alone may change meanwhile.
    copies[Stage.DEFERRED_COPY] += mode.asks_zerocopy and conditions.tapped
    copies[Stage.LINEARIZE] = float(conditions.linear or (mode.asks_zerocopy and conditions.summed))
    copies[Stage.BOUNCE] = float(conditions.bounced)
    if link is Link.NIC:
        copies[Stage.DMA] = float(not conditions.bounced)
    return copies
