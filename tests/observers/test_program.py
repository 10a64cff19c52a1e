"""What the kernel refuses, told as what it is; programs on cgroups that vanish with us."""

from __future__ import annotations

import ctypes
import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.command import ROOT
from tracer.errors import MachineError, PrivilegeError
from tracer.machine.cgroups import open_cgroup
from tracer.observers.cgroup_links import exclusive_holder
from tracer.observers.program import Program, _refused
from tracer.observers.tracepoints import DEFINES

EGRESS = 1  # BPF_CGROUP_INET_EGRESS, enum bpf_attach_type of linux/bpf.h


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError(errno.EPERM, os.strerror(errno.EPERM)), PrivilegeError),
        (OSError(errno.EACCES, os.strerror(errno.EACCES)), PrivilegeError),
        (OSError(errno.ENOENT, os.strerror(errno.ENOENT)), MachineError),
        (Exception("Failed to attach BPF program b'x' to tracepoint: Operation not permitted"), PrivilegeError),
        (Exception("Failed to attach BPF to kprobe"), MachineError),
    ],
)
def test_only_a_refusal_for_want_of_privilege_is_one(error: Exception, kind: type) -> None:
    """By the error's own number or words; not by what an earlier call left in errno."""
    ctypes.set_errno(errno.EPERM)

    assert type(_refused("cannot attach", error)) is kind


@pytest.fixture
def cgroup() -> Iterator[Path]:
    with open_cgroup() as directory:
        yield directory


@pytest.fixture
def below(cgroup: Path) -> Iterator[Path]:
    directory = cgroup / "below"
    directory.mkdir()
    yield directory
    directory.rmdir()


@pytest.fixture
def program() -> Iterator[Program]:
    program = Program("tracepoints.bpf.c", DEFINES)
    yield program
    program.close()


def attach_alone(program: Program, cgroup: Path) -> Any:
    """As BCC does by itself: bpf_prog_attach() without flags."""
    import bcc

    function = program.bpf.load_func("on_egress", bcc.BPF.CGROUP_SKB)
    descriptor = os.open(cgroup, os.O_RDONLY)
    program.bpf.attach_func(function, descriptor, EGRESS)
    return lambda: (program.bpf.detach_func(function, descriptor, EGRESS), os.close(descriptor))


@pytest.mark.live
def test_a_program_that_holds_the_cgroup_above_alone_is_named(cgroup: Path, below: Path, program: Program) -> None:
    """EPERM to root: no privilege is missing, another program is in the way."""
    detach = attach_alone(program, cgroup)
    try:
        with pytest.raises(MachineError) as refusal:
            Program("tracepoints.bpf.c", DEFINES).attach_cgroup(below, "cgroup_egress", "on_egress")
    finally:
        detach()

    assert str(cgroup) in refusal.value.why
    assert "alone" in refusal.value.why
    assert "--observer functions" in refusal.value.fix


@pytest.mark.live
def test_ours_stand_beside_others_and_hold_nothing_alone(cgroup: Path, below: Path, program: Program) -> None:
    """By links: BPF_F_ALLOW_MULTI."""
    program.attach_cgroup(cgroup, "cgroup_egress", "on_egress")
    second = Program("tracepoints.bpf.c", DEFINES)
    second.attach_cgroup(below, "cgroup_egress", "on_egress")
    holder = exclusive_holder(below, EGRESS)
    second.close()

    assert holder is None


@pytest.mark.live
def test_programs_go_with_a_process_that_is_killed(cgroup: Path, program: Program) -> None:
    """Nobody else would ever take them off."""
    code = (
        "import os, signal, sys; from pathlib import Path; from tracer.observers.program import Program; "
        "from tracer.observers.tracepoints import DEFINES\n"
        f"Program('tracepoints.bpf.c', DEFINES).attach_cgroup(Path({str(cgroup)!r}), 'cgroup_egress', 'on_egress')\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)

    attach_alone(program, cgroup)()  # refused if anything were still attached
