"""The words of a socket that somebody else made: whose bytes were handed over how, and what became of them.

No I/O, no policy. As in tracer.model: a quantity that nobody observed is None, never 0; bytes are payload bytes.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from tracer.model.law import LawState

Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Endpoint = Annotated[str, msgspec.Meta(pattern=r":\d{1,5}$", max_length=80)]
"""ADDRESS:PORT, [ADDRESS]:PORT."""

# How bytes are handed to a socket, and how they are taken from it.
SEND_WAYS = ("copy", "zerocopy", "zerocopy_ignored", "uring_zerocopy", "splice", "unknown")
READ_WAYS = ("copy", "peek", "discard", "splice", "mapped")
# Those in which the kernel copies the bytes, and those in which it pins their pages.
SENT_BY_COPY, PINNED, READ_BY_COPY = ("copy", "zerocopy_ignored"), ("zerocopy", "uring_zerocopy"), ("copy", "peek")
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


NO_PACKETS = Packets()


class Refused(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Send calls that returned an error instead of bytes.

    Args:
        limit: What ENOBUFS most likely ran into; inferred.
        enobufs_after: Zero-copy sends before the first ENOBUFS; None without one, and of all sockets together.
    """

    eagain: Count = 0
    enobufs: Count = 0
    other: Count = 0
    limit: str | None = None
    enobufs_after: Count | None = None


NOT_REFUSED = Refused()


class Completions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Zero-copy notifications, one a send.

    Args:
        total: Posted by the kernel, whether the program looks or not: as was seen, and what the program took.
        copied: Of these, with the kernel's flag that it copied after all.
        reaped: Taken by the program from the error queue; None where it uses io_uring.
        ranges: In which it took them.
        most_outstanding: Most sends whose notification was still to come, at one socket; None of io_uring, and where
            some sockets are not listed.
    """

    total: Count = 0
    copied: Count = 0
    reaped: Count | None = None
    reaped_copied: Count | None = None
    ranges: Count | None = None
    most_outstanding: Count | None = None

    @property
    def zerocopy(self) -> int:
        """Sends that the kernel says it did not copy."""
        return self.total - self.copied


class TcpState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """TCP's own books (struct tcp_sock) when the row was closed: the second witness of the laws.

    Args:
        unacked: Written and not acknowledged: write_seq - snd_una (an unacknowledged FIN counts 1).
        unsent: Written and never sent: write_seq - snd_nxt, less what a full queue here has refused,
            which has left IP and is unsent to TCP.
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


class Before(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What stood in a TCP socket when the watching began: it is in no other figure of the socket.

    Args:
        unsent: Written and not yet sent; it leaves IP while it is watched.
        unacked: Written and not yet acknowledged.
        unread: Received and not yet read; it is read while it is watched.
        missed: Had passed IP, and had not reached TCP.
        was_sending: A send call was under way: the bytes that it had handed over by then are left out.
        was_reading: The same of a read.
    """

    unsent: Count = 0
    unacked: Count = 0
    unread: Count = 0
    missed: Count = 0
    was_sending: bool = False
    was_reading: bool = False


NOTHING_BEFORE = Before()


class Tls(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Kernel TLS of a socket, as its own context says (struct tls_context), while it was watched.

    Args:
        version: As in "1.2".
        cipher: Its name, or its number in linux/tls.h.
        record_adds: Bytes that each record has beside its payload: header, nonce, tag, and in TLS 1.3 its type.
        records_sent: Records that the kernel encrypted.
        records_read: Records that it decrypted.
    """

    version: str
    cipher: str
    record_adds: Count
    records_sent: Count = 0
    records_read: Count = 0


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

    def sent_by(self, *ways: str) -> int:
        """Accepted by send calls, in these ways."""
        return sum(self.sent[way].bytes for way in ways if way in self.sent)

    def read_by(self, *ways: str) -> int:
        """Returned by reads, in these ways."""
        return sum(self.read[way].bytes for way in ways if way in self.read)

    @property
    def pinned_bytes(self) -> int:
        """Handed over without a copy, the pages pinned."""
        return self.sent_by(*PINNED)


# The one object: a file leaves out what is the default itself, and not what equals it.
IN_WINDOW: Final = "in-window"


class Socket(Moved, frozen=True, kw_only=True, omit_defaults=True):
    """One socket of the subject: counters as the kernel side kept them.

    Args:
        comm: Command name of the process that called first; None where nobody called, a port without a caller.
        netns: Inode of its network namespace; None where it is the one that nettrace ran in.
        cgroup: Path of the cgroup it was made in, as in /proc/PID/cgroup; None where that is the one that record made
            for its command.
        link: Name of the interface that its last packet passed; None without a packet, or where it has gone.
        born: Whether it was made while it was watched; if before, its beginning is not in these figures.
        accepted: Made by accept() and not by socket(): its local port is its listener's.
        ended: False where the socket lived on when the watching ended.
        consumed_bytes: How far reading moved TCP's position; None for UDP.
        copied_out_bytes: Copied from skbs to the reader (skb_copy_datagram_iovec).
        dropped_bytes: Sent by this socket and dropped on this machine; None where this kernel does not say.
        dropped_in_bytes: Arrived for this socket and dropped; None before 6.11, which does not name the socket.
        copybuf_bytes: Of what was read by copy, what TCP_ZEROCOPY_RECEIVE could not map.
        deferred: Copies after the send call, by their caller; None where functions cannot be probed.
        peer_pids: Process at the other end, where that is on this machine and was found; empty where it was not.
        peer_comm: Its command name.
        so_zerocopy: Whether SO_ZEROCOPY was set in the end; None of what is not TCP, and of a socket whose MSG_ZEROCOPY
            was never ignored.
        scatter_gather: Whether its route could scatter and gather; None as so_zerocopy.
        above: What lies between the program and this TCP: "ulp" (kernel TLS), "mptcp"; None if nothing.
        tls: Of a socket with kernel TLS; None of all others, and where its context was not seen.
        before: Of a TCP socket that was there before it was watched; None of one made while it was.
        connections: A TCP socket that is disconnected (connect(AF_UNSPEC), a refused connect()) may have one after the
            other; addresses are of the first one.
        urgent_packets: Packets that came with urgent data, of which each may hold one byte that reads leave out.
        discarded_bytes: Accepted by send calls and thrown away before they left: UDP's that waited for more of their
            datagram (MSG_MORE, UDP_CORK) when the socket was closed, or the next call failed.
        stopped_bytes: Sent, as TCP counts it, and dropped before it left IP: without a route, or by a netfilter rule;
            None where nobody watched drops.
        faulted: A read has ended with EFAULT: what it had begun to copy is in copied_out_bytes.
        whole: Of one that lives on: read at one moment, under its lock, so that its laws hold between two calls.
    """

    cookie: Count
    protocol: str
    local: Endpoint
    peer: Endpoint
    family: Literal["inet", "inet6"] = "inet"
    pids: list[int] = []
    comm: str | None = None
    netns: Count | None = None
    cgroup: str | None = None
    link: str | None = None
    born: Literal["in-window", "before"] = IN_WINDOW
    accepted: bool = False
    ended: bool = False
    first_s: float = 0.0
    last_s: float = 0.0
    left: Packets = NO_PACKETS
    came: Packets = NO_PACKETS
    consumed_bytes: Count | None = None
    copied_out_bytes: Count | None = 0
    copybuf_bytes: Count = 0
    dropped_bytes: Count | None = None
    dropped_in_bytes: Count | None = None
    refused: Refused = NOT_REFUSED
    completions: Completions | None = None
    tcp: TcpState | None = None
    deferred: list[DeferredCopy] | None = None
    peer_pids: list[int] = []
    peer_comm: str | None = None
    above: str | None = None
    tls: Tls | None = None
    so_zerocopy: bool | None = None
    scatter_gather: bool | None = None
    before: Before | None = None
    connections: Count = 1
    urgent_packets: Count = 0
    discarded_bytes: Count = 0
    stopped_bytes: Count | None = 0
    faulted: bool = False
    whole: bool = False

    @property
    def added_out(self) -> int:
        """Bytes beside the payload that kernel TLS handed to TCP."""
        return 0 if self.tls is None else self.tls.records_sent * self.tls.record_adds

    @property
    def added_in(self) -> int:
        """Bytes beside the payload of the records that kernel TLS decrypted."""
        return 0 if self.tls is None else self.tls.records_read * self.tls.record_adds

    @property
    def in_progress(self) -> bool:
        """Whether a call has moved bytes and had not returned when the socket was read: TCP is ahead of the calls."""
        if self.ended or self.tcp is None or self.above is not None:
            return False
        unsent = self.tcp.unsent - (self.before or NOTHING_BEFORE).unsent
        sending = self.left.bytes - self.left.again + unsent - self.sent_bytes
        reading = 0 if self.consumed_bytes is None else self.consumed_bytes - self.read_bytes
        # A FIN has a sequence number and is no byte.
        return sending > 1 or reading > 1


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
    """The same counters over all sockets, listed or not.

    Args:
        ciphered_sent_bytes: Of the bytes in the way "copy", those that a cipher above TCP took (kernel TLS), which may
            read the program's pages in place. Of listed sockets.
        ciphered_read_bytes: Of the bytes that were read by copy, those that it gave.
    """

    ciphered_sent_bytes: Count = 0
    ciphered_read_bytes: Count = 0
    left: Packets = NO_PACKETS
    came: Packets = NO_PACKETS
    refused: Refused = NOT_REFUSED
    completions: Completions | None = None
    consumed_bytes: Count | None = 0
    copied_out_bytes: Count | None = 0
    dropped_bytes: Count | None = None
    deferred: list[DeferredCopy] | None = None
