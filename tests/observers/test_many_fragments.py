"""A kernel built with CONFIG_MAX_SKB_FRAGS=45: its packets' fragments would not fit on a program's stack at once."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.command import ROOT

PROGRAM = """
import re
from tracer.machine.cgroups import open_cgroup
from tracer.observers import socket_programs
from tracer.observers.source_text import whole_text
from tracer.observers.tracepoints import plan_of

def of_another_kernel(file_name):
    text, replaced = re.subn("#define MAX_FRAGS .*", "#define MAX_FRAGS 45", whole_text(file_name))
    print("replaced", replaced)
    return text

socket_programs.whole_text = of_another_kernel
with open_cgroup() as cgroup:
    programs = socket_programs.SocketPrograms(cgroup, plan_of(leaves_machine=False))
    programs.attach()
    print("attached", len(programs.attached), programs.refused)
    programs.close()
"""
LOADED = "replaced 1\nattached 7 {}\n"


@pytest.mark.live
@pytest.mark.skipif(os.geteuid() != 0, reason="loading programs needs CAP_BPF")
def test_this_kernel_s_verifier_takes_the_program_that_reads_45_fragments() -> None:
    """It sees through each chunk, and the stack holds it."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, cwd=ROOT, timeout=240)

    assert (done.stdout, done.returncode) == (LOADED, 0), done.stderr


@pytest.mark.lab
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kernel", ["6.1"])
def test_the_oldest_verifier_takes_it_too(kernel: str) -> None:
    """It follows each way through a loop, and is the first to give up."""
    from tracer.lab import opening
    from tracer.lab.guest import least_environment
    from tracer.runs import warming

    told = bytearray()
    environment = least_environment() | {"PYTHONPATH": str(ROOT)}
    with opening.guest(warming.wanted(kernel, least=warming.EXEC), print) as guest:
        status = guest.run([sys.executable, "-c", PROGRAM], "/", environment, stdout=told.extend)

    assert (bytes(told), status) == (LOADED.encode(), 0)
