"""What the maps of bpf/sockets.bpf.c hold, besides the rows."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable

from tracer.books.socket_rows import COUNTERS
from tracer.model.sockets import READ_WAYS, SEND_WAYS
from tracer.observers.maps import Maps

_BUCKETS = 32
_FATES = ("created", "made", "ended", "not_made", "not_sent", "unnamed_copies", "unnamed_unix", "told", "told_again")


class SocketCounts:
    """Reads them; each answer is of the moment."""

    def __init__(self, maps: Maps) -> None:
        self._maps = maps

    def fates(self) -> dict[str, int]:
        """What became of rows: how many were made, ended, could not be made, could not be sent."""
        return {name: self._sum("fates", at) for at, name in enumerate(_FATES)}

    def _sum(self, table: str, index: int) -> int:
        return sum(int.from_bytes(value, "little") for value in self._maps.element(table, index))

    def totals(self) -> dict[str, int]:
        """Counters over the sockets of the subject that have ended."""
        cells = [struct.unpack(f"<{len(COUNTERS)}Q", value) for value in self._maps.element("totals", 0)]
        return dict(zip(COUNTERS, map(sum, zip(*cells, strict=True)), strict=True))

    def sizes(self) -> dict[str, list[int]]:
        """Way -> histogram of accepted bytes a call; only ways that were used."""
        found = {
            way: [self._sum("sizes", at * _BUCKETS + bucket) for bucket in range(_BUCKETS)]
            for at, way in enumerate(SEND_WAYS)
        }
        return {way: histogram for way, histogram in found.items() if any(histogram)}

    def unix(self) -> dict[tuple[int, str, str], tuple[int, int]]:
        """(Process, its command name, "send copy" or the like) -> calls on Unix sockets, and bytes."""
        ways = (*(f"send {way}" for way in SEND_WAYS), *(f"read {way}" for way in READ_WAYS))
        found = {}
        for key, value in self._maps.items("unix_calls"):
            pid, way, comm = struct.unpack("<II16s", key)
            name = comm.partition(b"\0")[0].decode(errors="replace")
            calls, number = struct.unpack("<QQ", value)
            found[pid, name, ways[way]] = (calls, number)
        return found

    def notified(self) -> dict[int, tuple[int, int]]:
        """Cookie -> io_uring notifications, and those with the flag "copied"."""
        pairs = ((key, struct.unpack("<QQ", value)) for key, value in self._maps.items("notified"))
        return {int.from_bytes(key, "little"): (posted, copied) for key, (posted, copied) in pairs}

    def deferred(self) -> dict[tuple[int, str], tuple[int, int]]:
        """(cookie, calling function) -> copies after the send call: events and bytes."""
        events: Counter[tuple[int, str]] = Counter()
        copied: Counter[tuple[int, str]] = Counter()
        for key, value in self._maps.items("deferred"):
            cookie, *frames = struct.unpack("<QQQ", key)
            name = (cookie, _caller(frames))
            times, number = struct.unpack("<QQ", value)
            events[name] += times
            copied[name] += number
        return {name: (events[name], copied[name]) for name in events}


def _caller(frames: Iterable[int]) -> str:
    """Who called skb_copy_ubufs(): on some kernels (7.2) its trampoline leaves the function itself out."""
    import bcc

    first, second = (str(bcc.BPF.ksym(address).decode()) for address in frames)
    return second if first.startswith("skb_copy_ubufs") else first
