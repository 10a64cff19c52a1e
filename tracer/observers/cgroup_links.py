"""Who holds a cgroup alone: a program that was attached by bpf_prog_attach(2) without flags, as BCC does it."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from tracer.machine.kernel.libbpf import libbpf

# BPF_PROG_QUERY fills at most so many ids.
_MAX_PROGRAMS = 64


def exclusive_holder(cgroup: Path, kind: int) -> Path | None:
    """The nearest cgroup, from this one upwards, that a program holds alone; None where there is none."""
    return next((one for one in (cgroup, *cgroup.parents) if _is_held_alone(one, kind)), None)


def _is_held_alone(cgroup: Path, kind: int) -> bool:
    """bpf_prog_query(): programs are there, and the flags that they were attached with allow no others."""
    if not (cgroup / "cgroup.procs").exists():
        return False
    flags, count, ids = ctypes.c_uint32(), ctypes.c_uint32(_MAX_PROGRAMS), (ctypes.c_uint32 * _MAX_PROGRAMS)()
    directory = os.open(cgroup, os.O_RDONLY | os.O_CLOEXEC)
    try:
        query = (directory, kind, 0, ctypes.byref(flags), ids, ctypes.byref(count))
        return libbpf().bpf_prog_query(*query) == 0 and count.value > 0 and flags.value == 0
    finally:
        os.close(directory)
