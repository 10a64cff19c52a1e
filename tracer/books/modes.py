"""The modes: each a way to hand a message to the kernel, and what that should do to its bytes. Pure.

A mode is a row: a call, where the message lies, and what the kernel is to do with it. What it predicts of a link
follows from these.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from tracer.books.receiving import UNCOPIED, USUAL_RECEIVE, Receive
from tracer.errors import UsageError
from tracer.model import Link, Stage
from tracer.texts import did_you_mean

Copies = Mapping[Stage, float]
Transport = Literal["tcp", "udp", "tls"]
"""A stream; a datagram a message, or several; a stream of records that the kernel encrypts (kernel TLS)."""

ETHERNET_MTU, LOOPBACK_MTU = 1500, 65536


def udp_headers(*, ipv6: bool) -> int:
    """Bytes that IP and UDP put before a datagram's payload."""
    return (40 if ipv6 else 20) + 8


class Mode(NamedTuple):
    """A way to send a message of several heap-allocated fields.

    Args:
        summary: One line for help texts.
        sends: The calls that move one message, for the report.
        call: What hands it over: its name in workloads/engine/engine.h, enum engine_call.
        buffers: Where it lies, likewise: enum engine_buffers.
        way: How the kernel takes it, in the words of record (tracer/model/sockets.py, SEND_WAYS).
        header: The first field goes ahead with MSG_MORE, copied; the others in that way.
        protocol: What carries it.
        segmented: Several datagrams a message: the kernel cuts it (UDP_SEGMENT).
    """

    name: str
    summary: str
    sends: str
    call: str
    buffers: str
    way: str
    header: bool = False
    protocol: Transport = "tcp"
    segmented: bool = False

    @property
    def batches(self) -> bool:
        """Whether one call takes several messages."""
        return self.call == "sendmmsg"

    @property
    def is_of_a_file(self) -> bool:
        """Whether its bytes are in the page cache, and not in memory of the sender's."""
        return self.buffers == "file"

    @property
    def asks(self) -> str:
        """What asks the kernel for zero-copy; empty where nothing does."""
        return {"zerocopy": "MSG_ZEROCOPY", "uring_zerocopy": "SEND_ZC"}.get(self.way, "")

    @property
    def is_datagrams(self) -> bool:
        """Whether each message is a datagram, or several."""
        return self.protocol == "udp"

    @property
    def is_encrypted(self) -> bool:
        """Whether the kernel makes TLS records of it."""
        return self.protocol == "tls"

    def segment_bytes(self, *, ipv6: bool) -> int | None:
        """Of the datagrams that the kernel cuts a message into, as Ethernet takes them; None where it cuts none."""
        return ETHERNET_MTU - udp_headers(ipv6=ipv6) if self.segmented else None

    def most_bytes(self, *, ipv6: bool) -> int | None:
        """Of a message: what a length of 16 bits leaves of a datagram; None where there is no limit.

        IPv4's counts its own header (ip_append_data(), net/ipv4/ip_output.c).
        """
        return 0xFFFF - udp_headers(ipv6=ipv6) + (40 if ipv6 else 0) if self.is_datagrams else None

    @property
    def most_pieces(self) -> int | None:
        """Pages that a message's fields may lie in; None where one message can be several packets.

        MAX_SKB_FRAGS, include/linux/skbuff.h: a datagram that is pinned is refused (EMSGSIZE) where it takes more.
        """
        return 17 if self.is_datagrams and self.asks_zerocopy else None

    @property
    def packs(self) -> bool:
        """Whether the fields are first copied into one contiguous buffer, in user space."""
        return self.buffers == "packed"

    @property
    def asks_zerocopy(self) -> bool:
        """Whether the kernel is asked to pin pages, and completions come back."""
        return bool(self.asks)


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
    Mode(
        "write", "pack the 8 fields into one buffer, then write()",
        "memcpy() of the 8 fields into one buffer, then write(buffer)",
        call="write", buffers="packed", way="copy",
    ),
    Mode(
        "writev", "writev() over the 8 fields", "writev(iovec of the 8 fields)",
        call="writev", buffers="heap", way="copy",
    ),
    Mode(
        "sendmmsg", "sendmmsg() over 2 to 16 messages of 8 fields",
        "sendmmsg(array of messages, an iovec of 8 fields each)",
        call="sendmmsg", buffers="heap", way="copy",
    ),
    Mode(
        "sendfile", "sendfile() of a file in the page cache", "sendfile(file)",
        call="sendfile", buffers="file", way="splice",
    ),
    Mode(
        "splice", "splice() from a file in the page cache into a pipe, and from there into the socket",
        "splice(file, pipe), splice(pipe, socket)",
        call="splice", buffers="file", way="splice",
    ),
    Mode(
        "vmsplice", "vmsplice() of the 8 fields' pages into a pipe, and splice() from there into the socket",
        "vmsplice(pipe, iovec of the 8 fields), splice(pipe, socket)",
        call="vmsplice", buffers="mapped", way="splice",
    ),
    Mode(
        "zerocopy-more", "a header of 1 field by send(MSG_MORE), then sendmsg(MSG_ZEROCOPY) over the other 7",
        "sendmsg(first field, MSG_MORE), sendmsg(iovec of the other 7, MSG_ZEROCOPY), recvmsg(MSG_ERRQUEUE)",
        call="sendmsg", buffers="heap", way="zerocopy", header=True,
    ),
    Mode(
        "zerocopy-hugepages", "as zerocopy, of fields that lie side by side in huge pages",
        "sendmsg(iovec of the 8 fields in huge pages, MSG_ZEROCOPY), recvmsg(MSG_ERRQUEUE) for the completions",
        call="sendmsg", buffers="huge", way="zerocopy",
    ),
    Mode(
        "uring-send", "io_uring's SENDMSG over the 8 fields", "io_uring: SENDMSG(iovec of the 8 fields)",
        call="uring", buffers="heap", way="copy",
    ),
    Mode(
        "uring-zerocopy", "io_uring's SENDMSG_ZC over the 8 fields, notifications from its queue",
        "io_uring: SENDMSG_ZC(iovec of the 8 fields, REPORT_USAGE), a notification each",
        call="uring", buffers="heap", way="uring_zerocopy",
    ),
    Mode(
        "uring-zerocopy-fixed", "io_uring's SEND_ZC of a buffer that is registered, fields side by side in it",
        "io_uring: SEND_ZC(registered buffer, REPORT_USAGE), a notification each",
        call="uring", buffers="registered", way="uring_zerocopy",
    ),
    Mode(
        "ktls", "as onecopy, on a socket with kernel TLS (1.2, AES-GCM-128), which encrypts it",
        "sendmsg(iovec of the 8 fields) on a socket with kernel TLS",
        call="sendmsg", buffers="heap", way="copy", protocol="tls",
    ),
    Mode(
        "ktls-sendfile", "as sendfile, on a socket with kernel TLS, which encrypts it",
        "sendfile(file) on a socket with kernel TLS",
        call="sendfile", buffers="file", way="splice", protocol="tls",
    ),
    Mode(
        "udp", "sendmsg() over the 8 fields on a UDP socket, a datagram each",
        "sendmsg(iovec of the 8 fields), a UDP datagram each",
        call="sendmsg", buffers="heap", way="copy", protocol="udp",
    ),
    Mode(
        "udp-gso", "as udp, and the kernel cuts each message into datagrams of a packet (UDP_SEGMENT)",
        "sendmsg(iovec of the 8 fields), cut into UDP datagrams by UDP_SEGMENT",
        call="sendmsg", buffers="heap", way="copy", protocol="udp", segmented=True,
    ),
    Mode(
        "udp-zerocopy", "as udp, with MSG_ZEROCOPY, completions from the error queue",
        "sendmsg(iovec of the 8 fields, MSG_ZEROCOPY), a UDP datagram each, recvmsg(MSG_ERRQUEUE) for the completions",
        call="sendmsg", buffers="heap", way="zerocopy", protocol="udp",
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
    found = known(name)
    if found is None:
        fix = did_you_mean(name, NAMES) or f"for example {STUDIED[-1]}"
        raise UsageError(f"unknown mode '{name}'", f"the modes are {', '.join(NAMES)}", fix)
    return found


def known(name: str) -> Mode | None:
    """The mode of that name; None where there is none, as in a file of a later version."""
    return next((one for one in MODES if one.name == name), None)


class Conditions(NamedTuple):
    """What of the way is not as it usually is.

    Args:
        linear: The device takes packets that lie in one piece, alone.
        bounced: Every DMA goes through a bounce buffer.
        summed: The device makes no checksums.
        tapped: A packet socket gets a copy of what the device sends.
        ipv6: It is IPv6, whose headers are longer.
        forwarded: The device leads to a namespace that passes its packets on, so no hardware reads it.
        taken_off: It takes them off the sender's pages as they come in, as Linux does before 6.17.
    """

    linear: bool = False
    bounced: bool = False
    summed: bool = False
    tapped: bool = False
    ipv6: bool = False
    forwarded: bool = False
    taken_off: bool = False


USUAL = Conditions()


def predicted(
    mode: Mode,
    link: Link,
    conditions: Conditions = USUAL,
    *,
    size: int = 1,
    fields: int = 8,
    receive: Receive = USUAL_RECEIVE,
) -> Copies:
    """What each stage should do to a byte that is sent once, on any link in any condition: the one oracle.

    Bytes of the stage by payload bytes, 0 where the stage should not be seen at all. A copy that pinned pages alone
    are given is one of whole packets; where headers go ahead, one that left alone is spared it. Behind a cipher, a byte
    is one of a record. What of it a reader is given without a copy depends on how its calls meet the records: of that
    nothing is said.

    Args:
        size: Bytes of a message of so many fields: what is copied of one with a header.
        receive: How they are read. Which of the pages of deferred copies are whole ones, and can be mapped, depends on
            how TCP cuts its packets: of these no stage at the reader is there.
    """
    if mode.is_datagrams:
        return _predicted_of_datagrams(mode, link, conditions, size)
    copies = {Stage.PACK: float(mode.packs), **_taken(mode, header_bytes(mode, size, fields) / size, fields)}
    # Pages of the socket's own are never copied for a tap, nor to be summed up: those of others alone may change
    # meanwhile.
    is_others = mode.way != "copy" or mode.is_encrypted
    copies[Stage.DEFERRED_COPY] = mode.asks_zerocopy * _orphaned(link, conditions)
    copies[Stage.LINEARIZE] = float(conditions.linear or (is_others and conditions.summed))
    if mode.is_encrypted:
        copies |= {Stage.ENCRYPT: 1.0, Stage.DECRYPT: 1.0}
    else:
        copies |= _read(receive, is_own=bool(copies[Stage.DEFERRED_COPY]))
    return copies | _at_the_device(link, conditions)


def _orphaned(link: Link, conditions: Conditions) -> float:
    """Copies of pinned pages, skb_orphan_frags_rx(): for who holds them as long as he likes, and for each tap.

    Before 6.17 the kernel did it before it knew whether a packet is for a socket here or to be passed on
    (net/core/dev.c: __netif_receive_skb_core(), since then net/ipv4/ip_input.c: ip_local_deliver_finish()).
    """
    return float(link is not Link.NIC) + conditions.tapped + conditions.taken_off


def _at_the_device(link: Link, conditions: Conditions) -> dict[Stage, float]:
    """How it comes to have each byte."""
    bounced = float(conditions.bounced)
    dma = {Stage.DMA: 0.0 if conditions.forwarded else 1 - bounced}
    return {Stage.BOUNCE: bounced} | (dma if link is Link.NIC else {})


def _predicted_of_datagrams(mode: Mode, link: Link, conditions: Conditions, size: int) -> dict[Stage, float]:
    """UDP pins where the device takes one packet as it is, scattered and not summed up; else it copies at once.

    net/ipv4/ip_output.c: __ip_append_data(). What it copies it puts behind the headers, unless the kernel is to cut it
    into datagrams: those lie in fragments, which a device without scatter-gather gets copied.
    """
    mtu = LOOPBACK_MTU if link is Link.LO else ETHERNET_MTU
    fits = size + udp_headers(ipv6=conditions.ipv6) <= mtu
    pinned = mode.asks_zerocopy and fits and not (conditions.linear or conditions.summed)
    return {
        Stage.PACK: 0.0,
        Stage.COPY_IN: float(not pinned),
        Stage.PIN: float(pinned),
        Stage.SPLICE: 0.0,
        Stage.DEFERRED_COPY: pinned * _orphaned(link, conditions),
        Stage.LINEARIZE: float(mode.segmented and conditions.linear),
        Stage.COPY_OUT: 1.0,
        **_at_the_device(link, conditions),
    }


def header_bytes(mode: Mode, size: int, fields: int) -> int:
    """Bytes of a message that go ahead; the remainder is in the last field, the only one where there are few bytes."""
    return size // fields if mode.header else 0


def _read(receive: Receive, *, is_own: bool) -> dict[Stage, float]:
    """What reading does to a byte.

    Args:
        is_own: The pages are single ones of the packet's own, as skb_copy_ubufs() allocates them. All others cannot be
            mapped: they are parts of larger ones (sk_page_frag()), or somebody's (can_map_frag(), net/ipv4/tcp.c).
    """
    if receive.wants_pages:
        return {} if is_own else {Stage.COPY_OUT: 1.0, Stage.MAP_OUT: 0.0}
    taken = {stage: float(receive.takes == way) for way, stage in UNCOPIED.items()}
    return {Stage.COPY_OUT: float(receive.copies), **taken}


_STAGES = {
    "copy": Stage.COPY_IN, "zerocopy": Stage.PIN, "uring_zerocopy": Stage.PIN, "splice": Stage.SPLICE,
}  # fmt: skip


# A record's payload may lie in so many pieces (MAX_MSG_FRAGS, include/linux/skmsg.h), and fields in two pages each.
_MOST_FIELDS_IN_PLACE = 8


def _taken(mode: Mode, ahead: float, fields: int) -> dict[Stage, float]:
    """What the send calls do to a byte, and to those that go ahead.

    A cipher reads the sender's pages where they lie, unless they are too many: then it depends on where they lie.
    """
    stages = _STAGES | ({"copy": Stage.PIN} if mode.is_encrypted else {})
    if mode.is_encrypted and mode.way == "copy" and fields > _MOST_FIELDS_IN_PLACE:
        return {Stage.SPLICE: 0.0}
    taken = {stage: (1 - ahead) * (stages[mode.way] is stage) for stage in dict.fromkeys(_STAGES.values())}
    return {**taken, Stage.COPY_IN: taken[Stage.COPY_IN] + ahead}
