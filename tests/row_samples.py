"""Rows as the kernel side writes them, made of literal numbers."""

from __future__ import annotations

import struct

from tracer.books.socket_rows import COUNTERS, FIELDS, ROW_BYTES, offset_of

_CODES = dict.fromkeys(COUNTERS, "Q") | {field.name.partition("[")[0]: field.code for field in FIELDS}


def raw(**members: int | bytes) -> bytes:
    """A row with these members; the others are 0."""
    row = bytearray(ROW_BYTES)
    for name, value in members.items():
        struct.pack_into(f"<{_CODES[name]}", row, offset_of(name), value)
    return bytes(row)


def raw_sender(cookie: int, sent: int, **members: int | bytes) -> bytes:
    """A TCP socket of curl's that sent so many bytes in one call."""
    names: dict[str, int | bytes] = {"family": 2, "protocol": 6, "local_port": 40000 + cookie, "peer_port": 80}
    owner: dict[str, int | bytes] = {"owned": 1, "tgid": 7, "comm": b"curl"}
    counters = {"sent_copy_calls": 1, "sent_copy_bytes": sent}
    return raw(cookie=cookie, **(names | owner | counters | members))
