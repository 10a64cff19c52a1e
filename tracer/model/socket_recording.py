"""The words of a recording of sockets: of whom, when, how this kernel was asked, and what is to be said of it."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from tracer.model import CpuProfile
from tracer.model.sockets import Count, Socket, Totals

SCHEMA_2: Literal["nettrace.recording/2"] = "nettrace.recording/2"


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """Whose sockets were watched.

    Args:
        exit_status: Exit code, or minus the signal's number; None where it had not ended.
        left_running: Descendants that went on when the watching ended.
        user: User id that the command ran as, or the first of the processes that ran already; None where none did.
        other_users: Of the others of these, where it differs.
    """

    kind: Literal["command", "attached"]
    argv: Annotated[list[str], msgspec.Meta(min_length=1)]
    pids: list[int]
    exit_status: int | None
    user: Count | None
    other_users: list[Count] = []
    left_running: list[int] = []
    inherited_sockets: list[str] = []


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """When was watched.

    Args:
        started: ISO 8601, in UTC.
    """

    started: str
    elapsed_s: float


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


class WatchingCost(msgspec.Struct, frozen=True, kw_only=True):
    """What nettrace's own programs took, by the kernel's count (BPF_ENABLE_STATS), which itself is among it.

    Args:
        runs: While it was counted.
        spent_ns: CPU time of these, of all CPUs.
        counted_s: For how long: a tenth of the time, in turns of 20 ms.
    """

    runs: Count
    spent_ns: Count
    counted_s: float

    @property
    def cpus(self) -> float | None:
        """How many CPUs it kept busy; None where nothing was counted."""
        return self.spent_ns / 1e9 / self.counted_s if self.counted_s else None


class Hooks(msgspec.Struct, frozen=True, kw_only=True):
    """How this kernel was asked, and what it refused.

    Args:
        calls: What tells calls and their way: "fexit", "tracepoint+registers", or "none".
        attached: Names of all probe points that were attached.
        refused: Name -> why not.
        skipped: Program -> times the kernel did not run it, because it ran already on that CPU; None where it does
            not tell.
        row_bytes: Memory of one row.
        optmem_bytes: What watching takes of a socket's optmem, the budget of its zero-copy notifications; None where
            that is not known.
        cost: What watching took; None where this user may not count it.
    """

    calls: str
    attached: list[str]
    refused: dict[str, str]
    row_bytes: Count
    optmem_bytes: Count | None = None
    skipped: dict[str, int] | None = None
    cost: WatchingCost | None = None


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
