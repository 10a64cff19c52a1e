"""What follows from a recording: stages and causes, entries, laws, ledger, verdict; all of it is a document."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec

from tracer.model.experiment import Count
from tracer.model.law import Law
from tracer.model.measurements import Recording, Stack


class Stage(StrEnum):
    """A place on the payload's way where bytes are copied, or where a copy is avoided."""

    PACK = "pack"
    COPY_IN = "copy_in"
    PIN = "pin"
    SPLICE = "splice"
    ENCRYPT = "encrypt"
    DEFERRED_COPY = "deferred_copy"
    LINEARIZE = "linearize"
    BOUNCE = "bounce"
    DMA = "dma"
    DECRYPT = "decrypt"
    COPY_OUT = "copy_out"
    SPLICE_OUT = "splice_out"
    MAP_OUT = "map_out"
    DROPPED = "dropped"


class Cause(StrEnum):
    """Why a copy was made after the send call: what the evidence names, never habit."""

    LOCAL_DELIVERY = "local_delivery"
    PACKET_TAP = "packet_tap"
    TUN = "tun"
    FORWARDING = "forwarding"
    NO_SCATTER_GATHER = "no_scatter_gather"
    CHECKSUM = "checksum"
    BOUNCE_BUFFER = "bounce_buffer"
    FRAGMENTATION = "fragmentation"
    CHANGED_PACKET = "changed_packet"
    UNKNOWN = "unknown"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What one function did to the payload in one stage: a copy location.

    Args:
        function: The kernel function (or user code) that does it.
        source: Observer and symbol, for example "fentry:skb_copy_ubufs" or "tracepoint:net_dev_start_xmit".
        bytes: Payload bytes, headers excluded. None where no probe point of the stage was attached: unknown,
            which is not zero.
        events: Times that the probe point fired; None where the source counts none.
        pages: Page references taken, in host pages; None where the stage has none or nobody counted.
        per_payload_byte: bytes / payload bytes.
        witnesses: Other, independent counts of the same bytes, by source; None where one was not there.
        cause: Why a later copy was made; None for a stage that is no later copy, and for one that copied nothing.
        cause_inferred_from: What the cause was inferred from; empty where the observer saw it, or nobody knows it.
        note: What is special about this row.
    """

    stage: Stage
    function: str
    source: str
    bytes: Count | None
    events: Count | None = None
    pages: Count | None = None
    per_payload_byte: float | None = None
    stacks: list[Stack] = []
    witnesses: dict[str, Count | None] = {}
    cause: Cause | None = None
    cause_inferred_from: str = ""
    note: str = ""


class CopiesPerByte(msgspec.Struct, frozen=True, kw_only=True):
    """Kernel copies of one payload byte on each side; None where a stage that counts is unknown."""

    send: float | None
    receive: float | None


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """Where every byte went, and whether the books balance.

    Args:
        trustworthy: False where a law is broken or an event was lost.
        doubts: Why it is not trustworthy, a sentence each.
        mixed_bytes: Bytes in skbs that hold both copied and pinned payload: tracepoints cannot split them.
        retransmitted_bytes: Bytes sent again by TCP; they are copied again on links that copy.
        pulled_bytes: Payload that a driver pulled into the linear part beside the headers; None where nobody watched.
        observer: Whose entries these are; None where nobody watched.
        lost_events: Updates that the observers lost; None where none of them can tell.
    """

    entries: list[Entry]
    laws: list[Law]
    copies_per_byte: CopiesPerByte
    trustworthy: bool
    doubts: list[str]
    mixed_bytes: Count | None = None
    retransmitted_bytes: Count | None = None
    pulled_bytes: Count | None = None
    observer: Literal["tracepoints", "functions"] | None = None
    lost_events: Count | None = None

    def entry(self, stage: Stage) -> Entry | None:
        """The first entry of a stage: its best-founded one."""
        return next((entry for entry in self.entries if entry.stage is stage), None)

    def bytes_of(self, stage: Stage) -> int | None:
        """Bytes of a stage, summed over its functions; None if unknown or not listed."""
        sizes = [entry.bytes for entry in self.entries if entry.stage is stage]
        known = [size for size in sizes if size is not None]
        return sum(known) if sizes and len(known) == len(sizes) else None


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The answer in one sentence, and what to try next.

    Args:
        code: Stable word for programs, for example "copied-by-loopback".
    """

    code: str
    sentence: str
    next: list[str]


class Overhead(msgspec.Struct, frozen=True, kw_only=True):
    """What watching cost: observed over bare time of the same fixed work."""

    observed_over_bare: float | None


class Document(Recording, frozen=True, kw_only=True):
    """A recording with everything that follows from it: what --json prints and --save writes."""

    ledger: Ledger
    overhead: Overhead
    verdict: Verdict
