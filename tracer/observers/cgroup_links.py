"""Programs on cgroups, by links: they go with the process that made them, even if it is killed.

BCC attaches by bpf_prog_attach(2), which outlives the process, and exclusively. libbpf is what BCC itself is linked
with.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from tracer.machine.kernel.libbpf import libbpf

# BPF_PROG_QUERY fills at most so many ids.
_MAX_PROGRAMS = 64


def link_to_cgroup(program: int, cgroup: Path, kind: int) -> int:
    """Attach a program to a cgroup beside others (a link implies BPF_F_ALLOW_MULTI); closing the link detaches it.

    Args:
        program: Its descriptor.
        kind: enum bpf_attach_type of linux/bpf.h.

    Raises:
        OSError: EPERM also where a program above holds the cgroup alone: see exclusive_holder().
    """
    directory = os.open(cgroup, os.O_RDONLY | os.O_CLOEXEC)
    try:
        link = int(libbpf().bpf_link_create(program, directory, kind, None))
        if link < 0:
            raise OSError(number := ctypes.get_errno(), os.strerror(number), str(cgroup))
        return link
    finally:
        os.close(directory)


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
