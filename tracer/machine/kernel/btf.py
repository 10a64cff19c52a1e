"""Reads the kernel's own type information (BTF): struct layouts, function prototypes, tracepoint arguments.

Format: Documentation/bpf/btf.rst, linux/btf.h. libbpf finds a name among 100,000 types in a millisecond; reading them
in Python takes 0.3 s, and 4 s on the emulated processor of the lab.
"""

from __future__ import annotations

import bisect
import ctypes
import errno
import functools
import hashlib
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tracer.errors import MachineError
from tracer.machine.kernel.libbpf import libbpf

VMLINUX = Path("/sys/kernel/btf/vmlinux")
NOTES = Path("/sys/kernel/notes")  # the ELF notes of the kernel: NT_GNU_BUILD_ID

# linux/btf.h: kinds of type.
_PTR, _STRUCT, _UNION, _ENUM, _TYPEDEF = 2, 4, 5, 6, 8
_VOLATILE, _CONST, _RESTRICT, _FUNC, _TYPE_TAG = 9, 10, 11, 12, 18
_ALIASES = frozenset({_TYPEDEF, _VOLATILE, _CONST, _RESTRICT, _TYPE_TAG})
_FILE = struct.Struct("<HBBIIIII")  # struct btf_header: magic, version, flags, and where types and strings are
_HEADER = struct.Struct("<III")  # struct btf_type; its elements follow it


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
    elements_at: int

    def elements(self, layout: str) -> Iterator[tuple[int, ...]]:
        """Members, parameters or enumerators, which follow the type itself."""
        return struct.iter_unpack(layout, ctypes.string_at(self.elements_at, self.length * struct.calcsize(layout)))


class Btf:
    """The types of one kernel, decoded by libbpf.

    Raises:
        MachineError: if the data is no BTF, or libbpf is missing.
    """

    def __init__(self, data: bytes) -> None:
        self._libbpf, self._data = libbpf(), data
        self._handle = self._libbpf.btf__new(data, len(data))
        # Up to libbpf 0.8 an error came back as the address -errno.
        if self._handle is None or self._handle > (1 << 64) - 4096:
            reason = os.strerror(ctypes.get_errno() or errno.EINVAL)
            raise MachineError("the kernel's BTF cannot be read", reason, "run in the lab: --lab")

    def __del__(self) -> None:
        # 0.3 s and 20 MB of types; there is no other moment that every user passes.
        if getattr(self, "_handle", None):
            self._libbpf.btf__free(self._handle)

    @classmethod
    @functools.cache
    def of_running_kernel(cls) -> Btf:
        """The types of the kernel that runs this process, read once."""
        return cls(read_vmlinux())

    def _type(self, type_id: int) -> _Type:
        at = self._libbpf.btf__type_by_id(self._handle, type_id)
        name, info, size_or_type = _HEADER.unpack(ctypes.string_at(at, _HEADER.size))
        return _Type(info >> 24 & 0x1F, name, info & 0xFFFF, bool(info >> 31), size_or_type, at + _HEADER.size)

    def _id(self, kind: int, name: str) -> int | None:
        found = int(self._libbpf.btf__find_by_name_kind(self._handle, name.encode(), kind))
        return found if found > 0 else None

    def _string(self, offset: int) -> str:
        return str(self._libbpf.btf__name_by_offset(self._handle, offset).decode())

    def _resolve(self, type_id: int) -> int:
        while (entry := self._type(type_id)).kind in _ALIASES:
            type_id = entry.size_or_type
        return type_id

    def struct_size(self, name: str) -> int | None:
        """Size of a struct in bytes; None if this kernel has none of that name."""
        type_id = self._id(_STRUCT, name)
        return None if type_id is None else self._type(type_id).size_or_type

    def member(self, struct_name: str, path: str) -> Member | None:
        """A member by its path ("__sk_common.skc_num"), found through anonymous structs and unions too.

        None if this kernel's struct has no such member.
        """
        type_id = self._id(_STRUCT, struct_name)
        return None if type_id is None else self._find(type_id, path.split("."), 0)

    def _find(self, type_id: int, path: list[str], base: int) -> Member | None:
        entry = self._type(type_id)
        for name, member_type, offset in entry.elements("<III"):
            bits = offset >> 24 if entry.bitfields else 0
            start = base + (offset & 0xFFFFFF if entry.bitfields else offset)
            resolved = self._resolve(member_type)
            inner = self._type(resolved).kind in (_STRUCT, _UNION)
            if not name and inner and (found := self._find(resolved, path, start)):
                return found
            if name and self._string(name) == path[0]:
                if len(path) > 1:
                    return self._find(resolved, path[1:], start) if inner else None
                pointer = self._type(resolved).kind == _PTR
                return Member(start // 8, self._size(member_type), pointer, bits)
        return None

    def _size(self, type_id: int) -> int:
        return int(self._libbpf.btf__resolve_size(self._handle, type_id))

    def enumerator(self, name: str) -> int | None:
        """Value of an enum constant, of a nameless enum too; None if no 32-bit enum of this kernel has it.

        Found by its name's offset, wherever that stands among the elements of an enum: no look at every type.
        """
        _, _, _, header, types_at, types_size, strings_at, _ = _FILE.unpack_from(self._data)
        label = self._data.find(b"\0%s\0" % name.encode(), header + strings_at) + 1 - header - strings_at
        start, end = header + types_at, header + types_at + types_size
        position = start
        while label > 0 and (position := self._data.find(struct.pack("<I", label), position, end)) >= 0:
            entry, offset = self._type_around(position - start)
            if entry.kind == _ENUM and offset >= 0 and offset % 8 == 0:
                return int(struct.unpack_from("<i", self._data, position + 4)[0])
            position += 1
        return None

    def enumerators(self, name: str) -> dict[int, str]:
        """The constants of an enum, by value; none where this kernel has no enum of that name."""
        type_id = self._id(_ENUM, name)
        members = self._type(type_id).elements("<Ii") if type_id is not None else ()
        return {value: self._string(label) for label, value in members}

    def _type_around(self, offset: int) -> tuple[_Type, int]:
        """The type whose description spans this offset of the type section, and where among its elements that is."""
        first = self._libbpf.btf__type_by_id(self._handle, 1)
        ids = range(1, self._libbpf.btf__type_cnt(self._handle))
        after = bisect.bisect_right(
            ids, offset, key=lambda type_id: self._libbpf.btf__type_by_id(self._handle, type_id) - first
        )
        entry = self._type(ids[after - 1])
        return entry, offset - (entry.elements_at - first)

    def function_id(self, name: str) -> int | None:
        """BTF id of a kernel function, as fentry programs name what they attach to; None if BTF does not know it."""
        return self._id(_FUNC, name)

    def tracepoint_id(self, name: str) -> int | None:
        """BTF id of a tracepoint's type, as tp_btf programs name what they attach to; None if there is no such one."""
        return self._id(_TYPEDEF, f"btf_trace_{name}")

    def function_parameters(self, name: str) -> list[str] | None:
        """Parameter names of a kernel function; None if BTF does not know it."""
        type_id = self._id(_FUNC, name)
        return None if type_id is None else self._parameters(self._type(type_id).size_or_type)

    def tracepoint_parameters(self, name: str) -> list[str] | None:
        """Parameter names of a tracepoint, as a raw tracepoint program sees them; None if there is no such one."""
        type_id = self._id(_TYPEDEF, f"btf_trace_{name}")
        if type_id is None:
            return None
        pointer = self._type(self._resolve(type_id))
        return self._parameters(pointer.size_or_type)[1:]  # the first is the tracepoint's private data

    def _parameters(self, prototype: int) -> list[str]:
        return [self._string(name) for name, _ in self._type(self._resolve(prototype)).elements("<II")]


def read_vmlinux() -> bytes:
    """The BTF blob of the running kernel.

    Raises:
        MachineError: the kernel was built without CONFIG_DEBUG_INFO_BTF, or its /sys is hidden here.
    """
    try:
        return VMLINUX.read_bytes()
    except OSError as error:
        if not VMLINUX.parents[1].is_dir():
            why, fix = f"{VMLINUX.parents[2]} is hidden here: no sysfs is mounted", "mount -t sysfs none /sys, as root"
        else:
            why = f"{VMLINUX}: {error.strerror}"
            fix = "use a kernel built with CONFIG_DEBUG_INFO_BTF=y, or run in the lab: --lab"
        raise MachineError("the kernel offers no BTF", why, fix) from error


def kernel_fingerprint() -> str:
    """A name for the running kernel's types, to cache under.

    The kernel's own build id, of which 164 bytes have to be read; where it has none, a hash of all its BTF.
    """
    try:
        notes = NOTES.read_bytes()
    except OSError:
        notes = b""
    return hashlib.sha256(notes if b"GNU\0" in notes else read_vmlinux()).hexdigest()[:16]
