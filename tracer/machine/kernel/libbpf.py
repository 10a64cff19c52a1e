"""The one door to libbpf, the library that BCC itself stands on."""

from __future__ import annotations

import ctypes
import functools

from tracer.errors import MachineError


@functools.cache
def libbpf() -> ctypes.CDLL:
    """The library that BCC itself stands on, silenced.

    Raises:
        MachineError: there is none.
    """
    for name in ("libbpf.so.1", "libbpf.so.0"):
        try:
            library = ctypes.CDLL(name, use_errno=True)
        except OSError:
            continue
        library.libbpf_set_print(None)
        library.btf__new.restype = library.btf__type_by_id.restype = ctypes.c_void_p
        library.btf__name_by_offset.restype = ctypes.c_char_p
        library.btf__resolve_size.restype = ctypes.c_int64
        library.btf__new.argtypes = [ctypes.c_char_p, ctypes.c_uint32]
        for function in ("type_by_id", "name_by_offset", "resolve_size"):
            getattr(library, f"btf__{function}").argtypes = [ctypes.c_void_p, ctypes.c_uint32]
        library.btf__find_by_name_kind.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint32]
        library.btf__type_cnt.argtypes = library.btf__free.argtypes = [ctypes.c_void_p]
        library.btf__new_empty.restype = library.ring_buffer__new.restype = ctypes.c_void_p
        return library
    raise MachineError(
        "libbpf is missing",
        "it reads the kernel's types and links programs, as BCC does",
        "apt-get install libbpf1",
    )
