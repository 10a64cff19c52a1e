"""Reads the kernel's own type information (BTF): struct layouts, function prototypes, tracepoint arguments.

Format: Documentation/bpf/btf.rst. Only what nettrace asks is decoded.
"""

from __future__ import annotations

import hashlib
import struct
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from tracer.errors import MachineError

VMLINUX = Path("/sys/kernel/btf/vmlinux")

_MAGIC = 0xEB9F
_INT, _PTR, _ARRAY, _STRUCT, _UNION, _ENUM = 1, 2, 3, 4, 5, 6
_TYPEDEF, _VOLATILE, _CONST, _RESTRICT, _FUNC, _FUNC_PROTO, _VAR, _DATASEC = 8, 9, 10, 11, 12, 13, 14, 15
_DECL_TAG, _TYPE_TAG, _ENUM64 = 17, 18, 19
_ALIASES = frozenset({_TYPEDEF, _VOLATILE, _CONST, _RESTRICT, _TYPE_TAG})
# Bytes that follow the 12-byte header of a type: a fixed part, and a part for each of its vlen elements.
_TRAILER = {
    _INT: (4, 0), _ARRAY: (12, 0), _STRUCT: (0, 12), _UNION: (0, 12), _ENUM: (0, 8), _FUNC_PROTO: (0, 8),
    _VAR: (4, 0), _DATASEC: (0, 12), _DECL_TAG: (4, 0), _ENUM64: (0, 12),
}  # fmt: skip


class Member(NamedTuple):
    """Where a member lies: byte offset from the start of the struct, size in bytes, and whether it is a pointer.

    bits is the width of a bit-field, 0 for an ordinary member.
    """

    offset: int
    size: int
    pointer: bool
    bits: int


class _Type(NamedTuple):
    kind: int
    name: int
    length: int
    bitfields: bool
    size_or_type: int
    trailer: int


class Btf:
    """The types of one kernel.

    Raises:
        MachineError: if the data is no BTF.
    """

    def __init__(self, data: bytes) -> None:
        try:
            magic, _, _, header, type_at, type_size, text_at, text_size = struct.unpack_from("<HBBIIIII", data)
        except struct.error as error:
            raise MachineError("the kernel's BTF cannot be read", str(error)) from error
        if magic != _MAGIC:
            raise MachineError("the kernel's BTF cannot be read", f"magic is {magic:#x}, not {_MAGIC:#x}")
        self._data = data
        self._text = data[header + text_at : header + text_at + text_size]
        self._types = self._scan(header + type_at, header + type_at + type_size)

    @classmethod
    def of_running_kernel(cls) -> Btf:
        """The types of the kernel that runs this process."""
        return cls(read_vmlinux())

    def _scan(self, position: int, end: int) -> list[_Type]:
        types = [_Type(0, 0, 0, False, 0, 0)]  # type id 0 is void
        unpack, data = struct.Struct("<III").unpack_from, self._data
        while position < end:
            name, info, size_or_type = unpack(data, position)
            kind, count = info >> 24 & 0x1F, info & 0xFFFF
            types.append(_Type(kind, name, count, bool(info >> 31), size_or_type, position + 12))
            fixed, each = _TRAILER.get(kind, (0, 0))
            position += 12 + fixed + each * count
        return types

    @cached_property
    def _ids(self) -> dict[tuple[int, str], int]:
        wanted = (_STRUCT, _TYPEDEF, _FUNC, _UNION)
        found: dict[tuple[int, str], int] = {}
        for index, entry in enumerate(self._types):
            if entry.kind in wanted and entry.name:
                found.setdefault((entry.kind, self._string(entry.name)), index)
        return found

    def _string(self, offset: int) -> str:
        return self._text[offset : self._text.index(b"\0", offset)].decode()

    def _resolve(self, type_id: int) -> int:
        while self._types[type_id].kind in _ALIASES:
            type_id = self._types[type_id].size_or_type
        return type_id

    def _size(self, type_id: int) -> int:
        entry = self._types[self._resolve(type_id)]
        if entry.kind == _PTR:
            return 8
        if entry.kind == _ARRAY:
            element, _, length = struct.unpack_from("<III", self._data, entry.trailer)
            return int(length) * self._size(element)
        return entry.size_or_type

    def struct_size(self, name: str) -> int | None:
        """Size of a struct in bytes; None if this kernel has none of that name."""
        type_id = self._ids.get((_STRUCT, name))
        return None if type_id is None else self._types[type_id].size_or_type

    def member(self, struct_name: str, path: str) -> Member | None:
        """A member by its path ("__sk_common.skc_num"), found through anonymous structs and unions too.

        None if this kernel's struct has no such member.
        """
        type_id = self._ids.get((_STRUCT, struct_name))
        return None if type_id is None else self._find(type_id, path.split("."), 0)

    def _find(self, type_id: int, path: list[str], base: int) -> Member | None:
        entry = self._types[type_id]
        for index in range(entry.length):
            name, member_type, offset = struct.unpack_from("<III", self._data, entry.trailer + 12 * index)
            bits = offset >> 24 if entry.bitfields else 0
            start = base + (offset & 0xFFFFFF if entry.bitfields else offset)
            resolved = self._resolve(member_type)
            inner = self._types[resolved].kind in (_STRUCT, _UNION)
            if not name and inner and (found := self._find(resolved, path, start)):
                return found
            if name and self._string(name) == path[0]:
                if len(path) > 1:
                    return self._find(resolved, path[1:], start) if inner else None
                pointer = self._types[resolved].kind == _PTR
                return Member(start // 8, self._size(member_type), pointer, bits)
        return None

    def enumerator(self, name: str) -> int | None:
        """Value of an enum constant; None if no 32-bit enum of this kernel has it."""
        for entry in self._types:
            if entry.kind != _ENUM:
                continue
            for index in range(entry.length):
                label, value = struct.unpack_from("<Ii", self._data, entry.trailer + 8 * index)
                if self._string(label) == name:
                    return int(value)
        return None

    def function_id(self, name: str) -> int | None:
        """BTF id of a kernel function, as fentry programs name what they attach to; None if BTF does not know it."""
        return self._ids.get((_FUNC, name))

    def function_parameters(self, name: str) -> list[str] | None:
        """Parameter names of a kernel function; None if BTF does not know it."""
        type_id = self._ids.get((_FUNC, name))
        return None if type_id is None else self._parameters(self._types[type_id].size_or_type)

    def tracepoint_parameters(self, name: str) -> list[str] | None:
        """Parameter names of a tracepoint, as a raw tracepoint program sees them; None if there is no such one."""
        type_id = self._ids.get((_TYPEDEF, f"btf_trace_{name}"))
        if type_id is None:
            return None
        pointer = self._types[self._resolve(type_id)]
        return self._parameters(pointer.size_or_type)[1:]  # the first is the tracepoint's private data

    def _parameters(self, prototype: int) -> list[str]:
        entry = self._types[self._resolve(prototype)]
        names = (struct.unpack_from("<II", self._data, entry.trailer + 8 * index)[0] for index in range(entry.length))
        return [self._string(name) for name in names]


def read_vmlinux() -> bytes:
    """The BTF blob of the running kernel.

    Raises:
        MachineError: if the kernel was built without CONFIG_DEBUG_INFO_BTF.
    """
    try:
        return VMLINUX.read_bytes()
    except OSError as error:
        raise MachineError(
            "the kernel offers no BTF",
            f"{VMLINUX}: {error.strerror}",
            "use a kernel built with CONFIG_DEBUG_INFO_BTF=y, or run in the lab: --lab",
        ) from error


def fingerprint(data: bytes) -> str:
    """A name for these types, to cache under: two kernels with equal BTF have equal layouts."""
    return hashlib.sha256(data).hexdigest()[:16]
