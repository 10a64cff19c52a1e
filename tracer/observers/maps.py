"""BPF maps without BCC, which takes a compiler with it: made, read, and their ring buffer listened to, by libbpf."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tracer.machine.kernel.libbpf import libbpf
from tracer.observers.image import MapDefinition
from tracer.observers.loading import Refusal

# enum bpf_map_type of linux/bpf.h.
_SK_STORAGE = 24
_PER_CPU = frozenset({5, 6, 10})  # PERCPU_HASH, PERCPU_ARRAY, LRU_PERCPU_HASH
_ARRAYS = frozenset({2, 6})  # ARRAY, PERCPU_ARRAY
_BTF_INT_SIGNED = 1

_ON_SAMPLE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)


class _CreateOptions(ctypes.Structure):
    """struct bpf_map_create_opts of bpf/bpf.h, up to map_flags; sz says how much of it there is."""

    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("btf_fd", ctypes.c_uint32),
        ("btf_key_type_id", ctypes.c_uint32),
        ("btf_value_type_id", ctypes.c_uint32),
        ("btf_vmlinux_value_type_id", ctypes.c_uint32),
        ("inner_map_fd", ctypes.c_uint32),
        ("map_flags", ctypes.c_uint32),
    )


class Maps:
    """The maps of an image, by name.

    Raises:
        Refusal: the kernel does not make one.
    """

    def __init__(self, definitions: Sequence[MapDefinition]) -> None:
        self._by_name = {one.name: one for one in definitions}
        self.descriptors: list[int] = []
        try:
            for one in definitions:
                self.descriptors.append(_create(one))
        except Refusal:
            self.close()
            raise

    def descriptor(self, name: str) -> int:
        """Of a map."""
        return self.descriptors[list(self._by_name).index(name)]

    def has(self, name: str) -> bool:
        """Whether there is a map of this name."""
        return name in self._by_name

    @contextlib.contextmanager
    def with_own(self, name: str, value: bytes) -> Iterator[list[int]]:
        """Descriptors of all, but for an array of which there is one more, with this value, as long as it is used.

        Raises:
            Refusal: the kernel does not make it.
        """
        own = Maps([self._by_name[name]])
        try:
            own.set(name, 0, value)
            shared = self.descriptor(name)
            yield [own.descriptor(name) if one == shared else one for one in self.descriptors]
        finally:
            own.close()

    def close(self) -> None:
        """Forget them; the kernel does when nobody has them any more."""
        while self.descriptors:
            os.close(self.descriptors.pop())

    def element(self, name: str, key: int) -> list[bytes]:
        """An array's element: one value, or one for each possible CPU."""
        return self.values(name, key.to_bytes(4, "little"))

    def set(self, name: str, key: int, value: bytes) -> None:
        """An array's element.

        Raises:
            Refusal: the kernel does not take it.
        """
        if libbpf().bpf_map_update_elem(self.descriptor(name), key.to_bytes(4, "little"), value, ctypes.c_uint64(0)):
            raise Refusal(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")

    def put(self, name: str, key: bytes, value: bytes) -> None:
        """An element of a hash.

        Raises:
            Refusal: the kernel does not take it.
        """
        if libbpf().bpf_map_update_elem(self.descriptor(name), key, value, ctypes.c_uint64(0)):
            raise Refusal(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")

    def remove(self, name: str, key: bytes) -> None:
        """An element of a hash, if it is there."""
        libbpf().bpf_map_delete_elem(self.descriptor(name), key)

    def clear(self, name: str) -> None:
        """Empty a hash; have an array hold zeros."""
        is_array, (apart, copies) = self._by_name[name].kind in _ARRAYS, self._room(name)
        for key in list(self.keys(name)):
            self.put(name, key, bytes(apart * copies)) if is_array else self.remove(name, key)

    def keys(self, name: str) -> Iterator[bytes]:
        """Keys of a hash."""
        key: bytes | None = None
        while (key := self._next_key(name, key)) is not None:
            yield key

    def items(self, name: str) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values of a hash."""
        key: bytes | None = None
        while (key := self._next_key(name, key)) is not None:
            for value in self.values(name, key):
                yield key, value

    def _next_key(self, name: str, key: bytes | None) -> bytes | None:
        found = ctypes.create_string_buffer(self._by_name[name].key_bytes)
        return found.raw if libbpf().bpf_map_get_next_key(self.descriptor(name), key, found) == 0 else None

    def values(self, name: str, key: bytes) -> list[bytes]:
        """Of a key, one or one for each possible CPU; none where it has gone meanwhile."""
        length, (apart, copies) = self._by_name[name].value_bytes, self._room(name)
        found = ctypes.create_string_buffer(apart * copies)
        if libbpf().bpf_map_lookup_elem(self.descriptor(name), key, found):
            return []
        return [found.raw[at : at + length] for at in range(0, apart * copies, apart)]

    def _room(self, name: str) -> tuple[int, int]:
        """Bytes from one value to the next, and how many: those of CPUs stand 8 bytes aligned (linux/bpf.h)."""
        copies = libbpf().libbpf_num_possible_cpus() if self._by_name[name].kind in _PER_CPU else 1
        return (self._by_name[name].value_bytes + 7) // 8 * 8, copies


def _create(definition: MapDefinition) -> int:
    options = _CreateOptions(sz=ctypes.sizeof(_CreateOptions), map_flags=definition.flags)
    with contextlib.ExitStack() as stack:
        if definition.kind == _SK_STORAGE:
            options.btf_fd, options.btf_key_type_id, options.btf_value_type_id = _types(definition, stack)
        name, sizes = definition.name.encode()[:15], (definition.key_bytes, definition.value_bytes, definition.entries)
        descriptor = libbpf().bpf_map_create(definition.kind, name, *sizes, ctypes.byref(options))
        if descriptor < 0:
            number = ctypes.get_errno()
            raise Refusal(number, f"{definition.name}: {os.strerror(number)}")
    return int(descriptor)


def _types(definition: MapDefinition, stack: contextlib.ExitStack) -> tuple[int, int, int]:
    """Types of a socket storage's key and value, which the kernel insists on: an int, and a struct of that size."""
    library = libbpf()
    types = ctypes.c_void_p(library.btf__new_empty())
    stack.callback(library.btf__free, types)
    key = library.btf__add_int(types, b"int", definition.key_bytes, _BTF_INT_SIGNED)
    value = library.btf__add_struct(types, b"value", definition.value_bytes)
    if library.btf__load_into_kernel(types):
        raise Refusal(ctypes.get_errno(), f"types of {definition.name}: {os.strerror(ctypes.get_errno())}")
    return library.btf__fd(types), key, value


class RingBuffer:
    """Hands on what programs put into a ring buffer; poll() and consume() come from one thread at a time.

    Raises:
        Refusal: there is no memory to map it.
    """

    def __init__(self, descriptor: int, on_sample: Callable[[bytes], None]) -> None:
        def take(_context: Any, data: int, size: int) -> int:
            on_sample(ctypes.string_at(data, size))
            return 0

        # Kept: C calls it as long as this object lives.
        self._take = _ON_SAMPLE(take)
        self._ring = ctypes.c_void_p(libbpf().ring_buffer__new(descriptor, self._take, None, None))
        if not self._ring.value:
            raise Refusal(ctypes.get_errno(), f"ring buffer: {os.strerror(ctypes.get_errno())}")

    def poll(self, most_ms: int) -> None:
        """Wait for the first, and take all that have come."""
        libbpf().ring_buffer__poll(self._ring, most_ms)

    def consume(self) -> None:
        """Take all that have come."""
        libbpf().ring_buffer__consume(self._ring)

    def close(self) -> None:
        """Unmap it."""
        libbpf().ring_buffer__free(self._ring)
