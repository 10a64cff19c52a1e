"""The words of a recording of somebody else's sockets, and what is to be said of it."""

from __future__ import annotations

from typing import Literal, final

import msgspec

from tracer.model import CpuProfile
from tracer.model.sockets import Count, Socket, Totals
from tracer.model.watching import Hooks, Subject, Window


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something that the reader should know, with its reason and what to do."""

    code: str
    sentence: str
    why: str = ""
    fix: str = ""
    figures: dict[str, int] = {}


class Threshold(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of a message from which on zero-copy is faster than a copy.

    Args:
        source: Who says so.
    """

    bytes: Count
    source: str


# "MSG_ZEROCOPY is generally only effective at writes over around 10 KB."
DOCUMENTED = Threshold(bytes=10_000, source="the kernel's documentation, msg_zerocopy.rst")


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """Payload bytes over all sockets until a moment, by way.

    Args:
        t: Seconds since the command's first instruction.
    """

    t: float
    sent: dict[str, Count] = {}
    read: dict[str, Count] = {}


class UnixCalls(msgspec.Struct, frozen=True, kw_only=True):
    """What a process did with Unix sockets: its calls alone. In no total; no packets, no second witness.

    Args:
        way: "send copy", "read copy" and the like.
    """

    pid: Count
    comm: str
    way: str
    calls: Count
    bytes: Count


@final
class SocketRecording(msgspec.Struct, frozen=True, kw_only=True):
    """A recording of somebody's sockets.

    Args:
        lost: Rows that were made and neither came nor live, and rows that could not be made.
        created_sockets: socket() calls for IPv4 and IPv6; not those that were accepted, but also those never used.
        peers: The other ends of its connections, as far as these are on this machine and --peers was given: in no
            total, and in no other figure.
        unix: Calls on Unix sockets, most bytes first.
        unix_lost: Such calls that could not be kept, and are not among these.
        profile: CPU time by stage in the context of its processes, nettrace's own among it; None if nobody asked.
        sizes: Way -> histogram of accepted bytes a call: element n counts calls of [2^n, 2^(n+1)) bytes.
        zerocopy_pays: From where on zero-copy is faster: as a sweep of this machine found, else as documented.
    """

    schema: Literal["nettrace.recording/2"]
    kernel: str
    subject: Subject
    window: Window
    hooks: Hooks
    sockets: list[Socket]
    totals: Totals
    unlisted_sockets: Count
    lost: Count
    created_sockets: Count = 0
    peers: list[Socket] = []
    unix: list[UnixCalls] = []
    unix_lost: Count = 0
    profile: CpuProfile | None = None
    sizes: dict[str, list[int]] = {}
    samples: list[Sample] = []
    findings: list[Finding] = []
    zerocopy_pays: Threshold = DOCUMENTED
