"""Names of the functions at user-mode addresses of a process, from /proc/PID/maps and the symbols of what is mapped.

Not BCC's own look-up: that of 0.26 closes a descriptor that is not its own for each process it is asked about, and
keeps a dozen open (mended in 0.33).
"""

from __future__ import annotations

import bisect
import functools
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_STT_FUNC, _STT_GNU_IFUNC = 2, 10
_SYMBOL_TABLES = (2, 11)  # SHT_SYMTAB, SHT_DYNSYM
_PT_LOAD, _EXECUTABLE = 1, 1


class Function(NamedTuple):
    """A function of a file: where its code lies in the file, and how long it is."""

    offset: int
    size: int
    name: str


class Mapping(NamedTuple):
    """A part of a file that a process may execute."""

    start: int
    end: int
    offset: int
    path: str


class UserSymbols:
    """The functions of one process, as it is mapped now; None for a name that no mapped file tells."""

    def __init__(self, pid: int) -> None:
        self._root = Path(f"/proc/{pid}/root")
        try:
            self._mappings = list(executable_mappings(Path(f"/proc/{pid}/maps").read_text()))
        except OSError:  # it has ended
            self._mappings = []

    def name(self, address: int) -> str | None:
        """The function that an address lies in."""
        mapping = next((one for one in self._mappings if one.start <= address < one.end), None)
        if mapping is None:
            return None
        functions = functions_of(self._root / mapping.path.lstrip("/"))
        offset = address - mapping.start + mapping.offset
        before = bisect.bisect_right(functions, offset, key=lambda one: one.offset) - 1
        found = functions[before] if before >= 0 else None
        return found.name if found and offset < found.offset + found.size else None


def executable_mappings(text: str) -> Iterator[Mapping]:
    """The executable mappings of files in the text of /proc/PID/maps (proc(5))."""
    for line in text.splitlines():
        span, permissions, offset, _, _, *path = line.split(maxsplit=5)
        if "x" in permissions and path and path[0].startswith("/"):
            start, end = (int(number, 16) for number in span.split("-"))
            yield Mapping(start, end, int(offset, 16), path[0])


@functools.lru_cache(maxsize=64)
def functions_of(file: Path) -> list[Function]:
    """The functions of a 64-bit little-endian ELF file, by their place in it; none where it cannot be read as one."""
    try:
        data = file.read_bytes()
        return sorted(set(_functions(data))) if data[:6] == b"\x7fELF\x02\x01" else []
    except (OSError, struct.error):
        return []


def _functions(data: bytes) -> Iterator[Function]:
    """Elf64_Sym of every symbol table that is an executable function (elf(5))."""
    segments = _executable_segments(data)
    sections = list(_table(data, at=0x28, count_at=0x3C, form="<IIQQQQIIQQ"))
    for _, kind, _, _, offset, size, link, *_ in sections:
        if kind not in _SYMBOL_TABLES:
            continue
        names = sections[link][4]
        for name, info, _, _, value, length in struct.iter_unpack("<IBBHQQ", data[offset : offset + size]):
            place = next((at - address for at, address, held in segments if address <= value < address + held), None)
            if info & 0xF in (_STT_FUNC, _STT_GNU_IFUNC) and length and place is not None:
                text = data[names + name : data.index(b"\0", names + name)]
                yield Function(value + place, length, text.decode(errors="replace"))


def _executable_segments(data: bytes) -> list[tuple[int, int, int]]:
    """(place in the file, address, bytes) of each segment of code."""
    headers = _table(data, at=0x20, count_at=0x38, form="<IIQQQQQQ")
    return [(one[2], one[3], one[5]) for one in headers if one[0] == _PT_LOAD and one[1] & _EXECUTABLE]


def _table(data: bytes, *, at: int, count_at: int, form: str) -> Iterator[tuple[int, ...]]:
    """A table whose place and length the ELF header holds."""
    (start,), (count,) = struct.unpack_from("<Q", data, at), struct.unpack_from("<H", data, count_at)
    return struct.iter_unpack(form, data[start : start + count * struct.calcsize(form)])
