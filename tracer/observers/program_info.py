"""What the kernel counts of a loaded program: how often and how long it ran, and how often it was passed over."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable

from tracer.machine.kernel.libbpf import libbpf

# Offset and end in struct bpf_prog_info (linux/bpf.h): user ABI, which never moves.
_RUN_TIME_NS, _RUN_COUNT, _RECURSION_MISSES = slice(192, 200), slice(200, 208), slice(208, 216)


def recursion_misses(program: int) -> int | None:
    """Times that the kernel did not run a program, because it was running already on that CPU; since it was loaded.

    It happens where a task that is in the program is preempted by another that comes to it too.

    Returns:
        None where this kernel does not count it (before 5.12).
    """
    info = _info(program)
    # The kernel says how much of the struct it knows.
    return int.from_bytes(info[_RECURSION_MISSES], "little") if len(info) >= _RECURSION_MISSES.stop else None


def run_times(programs: Iterable[int]) -> tuple[int, int]:
    """Runs of programs and their time, ns, while anybody counted (BPF_ENABLE_STATS)."""
    found = [_info(program) for program in programs]
    runs, spent_ns = (
        sum(int.from_bytes(info[where], "little") for info in found) for where in (_RUN_COUNT, _RUN_TIME_NS)
    )
    return runs, spent_ns


def _info(program: int) -> bytes:
    """struct bpf_prog_info of the program with this descriptor; empty where the kernel does not tell."""
    # Zeroed each time: old contents are read as lengths of arrays.
    info, length = ctypes.create_string_buffer(256), ctypes.c_uint32(256)
    refused = libbpf().bpf_obj_get_info_by_fd(program, info, ctypes.byref(length))
    return b"" if refused else info.raw[: length.value]
