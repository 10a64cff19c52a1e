"""A socket's row as the kernel side counts it: the one table from which its C declaration and its decoding are made.

The order of a row is written here and nowhere else. Counters come first, so that totals are an array of the same
numbers; what identifies the socket follows, widest first, so that C puts no padding between.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from tracer.model.sockets import READ_WAYS, SEND_WAYS, SKB_STATES


def _calls_and_bytes(prefix: str, ways: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{prefix}_{way}_{figure}" for way in ways for figure in ("calls", "bytes"))


def _packets(prefix: str) -> tuple[str, ...]:
    return (*(f"{prefix}_{state}" for state in SKB_STATES), *(f"{prefix}_{name}" for name in _OF_PACKETS))


# Bytes whose sequence numbers passed before; skbs that hold payload; fragments in them.
_OF_PACKETS = ("again", "packets", "fragments")

COUNTERS: tuple[str, ...] = (
    *_calls_and_bytes("sent", SEND_WAYS),
    "refused_eagain", "refused_enobufs", "refused_other",
    *_calls_and_bytes("read", READ_WAYS),
    # TCP_ZEROCOPY_RECEIVE: what was too small to map and was copied instead.
    "read_copybuf",
    # How far reading has moved the socket's position (a FIN counts 1); bytes copied out of skbs.
    "consumed", "copied_out",
    *_packets("left"),
    *_packets("came"),
    # Zero-copy notifications: posted by the kernel, those with its flag "copied"; taken by the program, in ranges.
    "posted", "posted_copied", "reaped", "reaped_copied", "ranges", "most_outstanding",
    "dropped_out", "dropped_in",
    # tcp_sock at the end: the second witness.
    "tcp_sent", "tcp_retransmitted", "tcp_acked", "tcp_received", "tcp_unread", "tcp_unacked", "tcp_unsent",
    "tcp_zerocopy_ids", "tcp_error_queue",
)  # fmt: skip


class Field(NamedTuple):
    """One member of struct row: its C type and name, and its code for Python's struct module."""

    type: str
    name: str
    code: str


# What calls look at stands in one cache line, behind the first two; what packets look at, on another CPU, in another.
FIELDS = (
    Field("u64", "cookie", "Q"),
    # Of the socket, which stays in the one where it was made (an accepted one has its listener's).
    Field("u64", "cgroup", "Q"),
    # Of the row and of its last call, in the kernel's ticks: a time in ns costs as much as the rest of a small program.
    Field("u32", "first_tick", "I"),
    Field("u32", "last_tick", "I"),
    # How far calls that have returned moved it.
    Field("u32", "write_position", "I"),
    Field("u32", "read_position", "I"),
    Field("u32", "copied_seq", "I"),
    Field("u32", "last_posted", "I"),
    Field("u32", "tgid", "I"),
    # What was copied to the reader last, while the position has not moved.
    Field("u32", "last_copy", "I"),
    Field("u16", "family", "H"),
    Field("u16", "protocol", "H"),
    Field("u16", "local_port", "H"),
    Field("u16", "peer_port", "H"),
    Field("u8", "owned", "B"),
    Field("u8", "has_copied_seq", "B"),
    Field("u8", "has_protocol_above", "B"),
    # The other end of a socket of the subject's: watched too, and not in its totals.
    Field("u8", "is_peer", "B"),
    Field("u8", "before", "B"),
    # Whether calls have returned since the row was made, and were under way when it was (bpf/sockets/beginning.h).
    Field("u8", "was_sending", "B"),
    Field("u8", "was_reading", "B"),
    # State CLOSE: what TCP counted of the connection is final, and kept.
    Field("u8", "closed", "B"),
    Field("u64", "first_ns", "Q"),
    # Zero-copy sends before the first ENOBUFS.
    Field("u64", "enobufs_after", "Q"),
    # TCP's books when the row was made, of a socket that was there before it was watched; else 0.
    Field("u64", "sent_before", "Q"),
    Field("u64", "retransmitted_before", "Q"),
    Field("u64", "acked_before", "Q"),
    Field("u64", "received_before", "Q"),
    # Payload that TCP counts as sent, and that was dropped before it left IP.
    Field("u64", "stopped", "Q"),
    # Packets that came with urgent data.
    Field("u64", "urgent", "Q"),
    Field("u32", "unread_before", "I"),
    Field("u32", "unacked_before", "I"),
    Field("u32", "unsent_before", "I"),
    Field("u32", "ids_before", "I"),
    # Payload that had passed IP and not reached TCP.
    Field("u32", "came_missed", "I"),
    Field("u32", "device", "I"),
    Field("u32", "left_end", "I"),
    Field("u32", "came_end", "I"),
    Field("u8", "has_left", "B"),
    Field("u8", "has_came", "B"),
    Field("u8", "ended", "B"),
    Field("u8", "is_mptcp", "B"),
    Field("u8", "accepted", "B"),
    # At its end: SO_ZEROCOPY is set; its route can scatter and gather.
    Field("u8", "so_zerocopy", "B"),
    Field("u8", "scatter_gather", "B"),
    # Read under the socket's lock, at one moment.
    Field("u8", "locked", "B"),
    # Of kernel TLS: records that were encrypted and decrypted, now and when the row was made; bytes that each adds.
    Field("u32", "records_out", "I"),
    Field("u32", "records_in", "I"),
    Field("u32", "records_out_before", "I"),
    Field("u32", "records_in_before", "I"),
    Field("u32", "record_adds", "I"),
    # Of a socket's connections before this one, what TCP had not sent, and had not read; of UDP, what was thrown away.
    Field("u32", "unsent_earlier", "I"),
    Field("u32", "unacked_earlier", "I"),
    Field("u32", "unread_earlier", "I"),
    # UDP's bytes that wait for more of their datagram.
    Field("u32", "corked", "I"),
    Field("u32", "netns", "I"),
    Field("u16", "tls_version", "H"),
    Field("u16", "tls_cipher", "H"),
    Field("u16", "connected_again", "H"),
    Field("u8", "has_posted", "B"),
    # A read has ended with EFAULT.
    Field("u8", "faulted", "B"),
    Field("u8", "local_address[16]", "16s"),
    Field("u8", "peer_address[16]", "16s"),
    Field("char", "comm[16]", "16s"),
)

_LAYOUT = struct.Struct("<" + f"{len(COUNTERS)}Q" + "".join(field.code for field in FIELDS))
ROW_BYTES = _LAYOUT.size
_NAMES = tuple(field.name.partition("[")[0] for field in FIELDS)


def offset_of(name: str) -> int:
    """Where a counter or another member stands in a row."""
    if name in COUNTERS:
        return 8 * COUNTERS.index(name)
    before = FIELDS[: _NAMES.index(name)]
    return struct.calcsize(f"<{len(COUNTERS)}Q" + "".join(field.code for field in before))


_IS_PEER_AT, _COOKIE_AT = offset_of("is_peer"), offset_of("cookie")


class Row(NamedTuple):
    """A row as it came from the kernel: its counters by name, and its other members by name."""

    counters: dict[str, int]
    fields: dict[str, int | bytes]

    def number(self, name: str) -> int:
        """A member that is a number."""
        value = self.fields[name]
        return value if isinstance(value, int) else int.from_bytes(value, "little")

    @property
    def is_peer(self) -> bool:
        """Whether it is the other end of a socket of the subject's, watched by --peers."""
        return bool(self.fields["is_peer"])

    def data(self, name: str) -> bytes:
        """A member that is an array of bytes."""
        value = self.fields[name]
        return value if isinstance(value, bytes) else b""


def declaration() -> str:
    """C text: the enums of counters, ways and states, and struct row."""
    counters = "".join(f"\t{name.upper()},\n" for name in COUNTERS)
    members = "".join(f"\t{field.type} {field.name};\n" for field in FIELDS)
    ways = "".join(f"\tWAY_{way.upper()},\n" for way in SEND_WAYS)
    reads = "".join(f"\tREAD_{way.upper()},\n" for way in READ_WAYS)
    states = "".join(f"\t{state.upper()},\n" for state in SKB_STATES)
    return (
        f"enum counter {{\n{counters}\tCOUNTERS\n}};\nenum way {{\n{ways}\tWAYS\n}};\nenum read_way {{\n{reads}}};\n"
        f"enum skb_state {{\n{states}\tSTATES\n}};\n"
        f"struct row {{\n\tu64 counters[COUNTERS];\n{members}}};\n"
    )


def is_of_a_peer(data: bytes) -> bool:
    """Of a row that is not worth decoding otherwise."""
    return bool(data[_IS_PEER_AT])


def cookie_of(data: bytes) -> bytes:
    """What tells its socket, of a row that is not worth decoding otherwise."""
    return data[_COOKIE_AT : _COOKIE_AT + 8]


def decode_row(data: bytes) -> Row:
    """A row from the ring buffer or the iterator."""
    values = _LAYOUT.unpack_from(data)
    return Row(
        dict(zip(COUNTERS, values[: len(COUNTERS)], strict=True)),
        dict(zip(_NAMES, values[len(COUNTERS) :], strict=True)),
    )
