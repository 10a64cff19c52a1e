"""Times that the kernel did not run a program, because it was running already on that CPU: recursion_misses."""

from __future__ import annotations

import ctypes

from tracer.machine.kernel.libbpf import libbpf

# Offset and end in struct bpf_prog_info (linux/bpf.h): user ABI, which never moves.
_RECURSION_MISSES = slice(208, 216)


def recursion_misses(program: int) -> int | None:
    """Of the program with this descriptor, since it was loaded; None where this kernel does not count it (before 5.12).

    It happens where a task that is in the program is preempted by another that comes to it too.
    """
    # Zeroed each time: old contents are read as lengths of arrays.
    info, length = ctypes.create_string_buffer(256), ctypes.c_uint32(256)
    refused = libbpf().bpf_obj_get_info_by_fd(program, info, ctypes.byref(length))
    if refused or length.value < _RECURSION_MISSES.stop:  # the kernel says how much of the struct it knows
        return None
    return int.from_bytes(info.raw[_RECURSION_MISSES], "little")
