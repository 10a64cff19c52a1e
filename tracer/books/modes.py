"""The modes: each a way to hand a message to the kernel, and what that should do to its bytes. Pure.

A mode is a row: a call, where the message lies, and what the kernel is to do with it. What it predicts of a link
follows from these.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tracer.errors import UsageError
from tracer.model import Link, Stage
from tracer.texts import did_you_mean

Copies = Mapping[Stage, float]


class Mode(NamedTuple):
    """A way to send a message of several heap-allocated fields.

    Args:
        summary: One line for help texts.
        sends: The calls that move one message, for the report.
        call: What hands it over: its name in workloads/engine/engine.h, enum engine_call.
        buffers: Where it lies, likewise: enum engine_buffers.
        way: How the kernel takes it, in the words of record (tracer/model/sockets.py, SEND_WAYS).
    """

    name: str
    summary: str
    sends: str
    call: str
    buffers: str
    way: str

    @property
    def packs(self) -> bool:
        """Whether the fields are first copied into one contiguous buffer, in user space."""
        return self.buffers == "packed"

    @property
    def asks_zerocopy(self) -> bool:
        """Whether the kernel is asked to pin pages, and completions come back."""
        return self.way == "zerocopy"


# In the order in which help texts and comparisons list them.
MODES = (
    Mode(
        "twocopy", "pack the 8 fields into one buffer, then send()",
        "memcpy() of the 8 fields into one buffer, then send(buffer)",
        call="send", buffers="packed", way="copy",
    ),
    Mode(
        "onecopy", "sendmsg() over the 8 fields, nothing is packed",
        "sendmsg(iovec of the 8 fields)",
        call="sendmsg", buffers="heap", way="copy",
    ),
    Mode(
        "zerocopy", "sendmsg(MSG_ZEROCOPY) over the 8 fields, completions from the error queue",
        "sendmsg(iovec of the 8 fields, MSG_ZEROCOPY), recvmsg(MSG_ERRQUEUE) for the completions",
        call="sendmsg", buffers="heap", way="zerocopy",
    ),
)  # fmt: skip

NAMES = tuple(mode.name for mode in MODES)
# The three that the study asked about: what a comparison and a sweep set side by side unless told otherwise.
STUDIED = ("twocopy", "onecopy", "zerocopy")


def mode(name: str) -> Mode:
    """The mode of that name.

    Raises:
        UsageError: if there is none; suggests the nearest one.
    """
    found = next((one for one in MODES if one.name == name), None)
    if found is None:
        fix = did_you_mean(name, NAMES) or f"for example {STUDIED[-1]}"
        raise UsageError(f"unknown mode '{name}'", f"the modes are {', '.join(NAMES)}", fix)
    return found


class Conditions(NamedTuple):
    """What of the way is not as it usually is.

    Args:
        linear: The device takes packets that lie in one piece, alone.
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
    """What each stage should do to a byte that is sent once, on any link in any condition: the one oracle.

    Bytes of the stage by payload bytes, 0 where the stage should not be seen at all.
    """
    copies = {Stage.PACK: float(mode.packs), **_taken(mode)}
    # skb_orphan_frags_rx(): a packet that is looped gets copies of the pinned pages after all. Pages of the socket's
    # own are never copied for a tap, nor to be summed up: pinned ones alone may change meanwhile.
    looped = link is not Link.NIC
    copies[Stage.DEFERRED_COPY] = mode.asks_zerocopy * (float(looped) + conditions.tapped)
    copies[Stage.LINEARIZE] = float(conditions.linear or (mode.asks_zerocopy and conditions.summed))
    copies[Stage.BOUNCE] = float(conditions.bounced)
    copies[Stage.COPY_OUT] = 1.0
    if link is Link.NIC:
        copies[Stage.DMA] = float(not conditions.bounced)
    return copies


_STAGES = {"copy": Stage.COPY_IN, "zerocopy": Stage.PIN}


def _taken(mode: Mode) -> dict[Stage, float]:
    """What the send call does to a byte."""
    return {stage: float(_STAGES[mode.way] is stage) for stage in (Stage.COPY_IN, Stage.PIN)}
