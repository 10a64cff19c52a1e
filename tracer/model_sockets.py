"""The words of a recording of sockets: whose bytes were handed over how, and what became of them; no I/O, no policy.

As in tracer.model: a quantity that nobody observed is None, never 0; bytes are payload bytes.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from tracer.model import LawState

SCHEMA_2: Literal["nettrace.recording/2"] = "nettrace.recording/2"

Count = Annotated[int, msgspec.Meta(ge=0)]

# How bytes are handed to a socket, and how they are taken from it.
SEND_WAYS = ("copy", "zerocopy", "zerocopy_ignored", "uring_zerocopy", "splice", "unknown")
READ_WAYS = ("copy", "peek", "discard", "splice", "mapped")
# What an skb's payload is made of where it leaves or enters IP; mixed holds zero-copy and copied payload.
SKB_STATES = ("copied", "zerocopy", "mixed", "shared", "linear")


class Transfer(msgspec.Struct, frozen=True, kw_only=True):
    """What went through calls of one way.

    Args:
        calls: Those that returned a number of bytes. On a kernel before 6.5 a splice counts one a page.
        bytes: As the calls returned them: accepted by the socket, or taken from it.
    """

    calls: Count = 0
    bytes: Count = 0


class Packets(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Payload at the boundary between IP and the socket, by what each skb was made of.

    Args:
        again: Of all bytes, those whose sequence numbers had passed before; 0 for UDP, which has none.
        packets: skbs that held payload; one may be many packets on the wire (GSO).
        fragments: In all of them.
    """

    copied: Count = 0
    zerocopy: Count = 0
    mixed: Count = 0
    shared: Count = 0
    linear: Count = 0
    again: Count = 0
    packets: Count = 0
    fragments: Count = 0

    @property
    def bytes(self) -> int:
        """Payload of all of them, those sent again included."""
        return self.copied + self.zerocopy + self.mixed + self.shared + self.linear


class Refused(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Send calls that returned an error instead of bytes.

    Args:
        limit: What ENOBUFS most likely ran into; inferred.
    """

    eagain: Count = 0
    enobufs: Count = 0
    other: Count = 0
    limit: str | None = None


class Completions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Zero-copy notifications, one a send.

    Args:
        total: Posted by the kernel, whether the program looks or not.
        copied: Of these, with the kernel's flag that it copied after all.
        reaped: Taken by the program from the error queue; None where it uses io_uring.
        ranges: In which it took them.
        most_outstanding: Most sends whose notification was still to come.
    """

    total: Count = 0
    copied: Count = 0
    reaped: Count | None = None
    reaped_copied: Count | None = None
    ranges: Count | None = None
    most_outstanding: Count = 0

    @property
    def zerocopy(self) -> int:
        """Sends that the kernel says it did not copy."""
        return self.total - self.copied


class TcpState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """TCP's own books (struct tcp_sock) when the row was closed: the second witness of the laws.

    Args:
        unacked: Written and not acknowledged: write_seq - snd_una (an unacknowledged FIN counts 1).
        unsent: Written and never sent: write_seq - snd_nxt.
        unread: Received and not read: rcv_nxt - copied_seq.
        zerocopy_ids: Numbers given to sends by MSG_ZEROCOPY.
        error_queue: Notifications that nobody took.
    """

    sent: Count = 0
    retransmitted: Count = 0
    acked: Count = 0
    received: Count = 0
    unread: Count = 0
    unacked: Count = 0
    unsent: Count = 0
    zerocopy_ids: Count = 0
    error_queue: Count = 0


class DeferredCopy(msgspec.Struct, frozen=True, kw_only=True):
    """Pinned pages that the kernel copied after the send call.

    Args:
        caller: Kernel function that had them copied.
    """

    caller: str
    events: Count
    bytes: Count


class Moved(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What calls handed over and took, by way; a way that is not there was not used."""

    sent: dict[str, Transfer] = {}
    read: dict[str, Transfer] = {}

    @property
    def sent_bytes(self) -> int:
        """Accepted by send calls, in all ways."""
        return sum(transfer.bytes for transfer in self.sent.values())

    @property
    def read_bytes(self) -> int:
        """Taken by the reader: what was only peeked at is not."""
        return sum(transfer.bytes for way, transfer in self.read.items() if way != "peek")


class Socket(Moved, frozen=True, kw_only=True, omit_defaults=True):
    """One socket of the subject: counters as the kernel side kept them.

    Args:
        comm: Command name of the first caller; None where nobody called, a port without a caller.
        netns: Inode of its network namespace; None where it is the one that nettrace ran in.
        ended: False where the socket lived on when the watching ended.
        consumed_bytes: How far reading moved TCP's position; None for UDP.
        copied_out_bytes: Copied from skbs to the reader (skb_copy_datagram_iovec).
        dropped_bytes: Sent by this socket and dropped on this machine; None where this kernel does not say.
        dropped_in_bytes: Arrived for this socket and dropped; None before 6.12, which does not name the socket.
        copybuf_bytes: Of what was read by copy, what TCP_ZEROCOPY_RECEIVE could not map.
        deferred: Copies after the send call, by their caller; None where functions cannot be probed.
        above: What lies between the program and this TCP: "ulp" (kernel TLS), "mptcp"; None if nothing.
    """

    cookie: Count
    protocol: str
    local: str
    peer: str
    family: Literal["inet", "inet6"] = "inet"
    pids: list[int] = []
    comm: str | None = None
    netns: Count | None = None
    device: str | None = None
    ended: bool = False
    first_s: float = 0.0
    last_s: float = 0.0
    left: Packets = Packets()
    came: Packets = Packets()
    consumed_bytes: Count | None = None
    copied_out_bytes: Count | None = 0
    copybuf_bytes: Count = 0
    dropped_bytes: Count | None = None
    dropped_in_bytes: Count | None = None
    refused: Refused = Refused()
    completions: Completions | None = None
    tcp: TcpState | None = None
    deferred: list[DeferredCopy] | None = None
    above: str | None = None


class SocketLaw(msgspec.Struct, frozen=True, kw_only=True):
    """An equality between two witnesses of one socket.

    Args:
        note: What was missing, of an unknown law; how much slack the statement has.
    """

    id: str
    statement: str
    state: LawState
    left: int | None
    right: int | None
    note: str = ""


class Totals(Moved, frozen=True, kw_only=True, omit_defaults=True):
    """The same counters over all sockets, listed or not."""

    left: Packets = Packets()
    came: Packets = Packets()
    refused: Refused = Refused()
    completions: Completions | None = None
    consumed_bytes: Count = 0
    copied_out_bytes: Count = 0
    dropped_bytes: Count | None = None
    deferred: list[DeferredCopy] | None = None


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """Whose sockets were watched.

    Args:
        exit_status: Exit code, or minus the signal's number; None where it had not ended.
        left_running: Descendants that went on when the watching ended.
        user: User id that the command ran as.
    """

    kind: Literal["command"]
    argv: list[str]
    pids: list[int]
    exit_status: int | None
    user: Count
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


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """Payload bytes over all sockets until a moment, by way.

    Args:
        t: Seconds since the command's first instruction.
    """

    t: float
    sent: dict[str, Count] = {}
    read: dict[str, Count] = {}


class Hooks(msgspec.Struct, frozen=True, kw_only=True):
    """How this kernel was asked, and what it refused.

    Args:
        calls: What tells calls and their way: "fexit", "tracepoint+registers", or "none".
        attached: Names of all probe points that were attached.
        refused: Name -> why not.
        skipped: Program -> times the kernel did not run it, because it ran already on that CPU; None where it does
            not tell.
        row_bytes: Memory of one row, which the kernel charges to its socket's optmem.
    """

    calls: str
    attached: list[str]
    refused: dict[str, str]
    row_bytes: Count
    skipped: dict[str, int] | None = None


class SocketRecording(msgspec.Struct, frozen=True, kw_only=True):
    """A recording of somebody's sockets.

    Args:
        lost: Rows that were made and neither came nor live, and rows that could not be made.
        created_sockets: socket() calls for IPv4 and IPv6; not those that were accepted, but also those never used.
        sizes: Way -> histogram of accepted bytes a call: element n counts calls of [2^n, 2^(n+1)) bytes.
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
    sizes: dict[str, list[int]] = {}
    samples: list[Sample] = []
    findings: list[Finding] = []
