"""A kernel built with CONFIG_MAX_SKB_FRAGS=45: its packets' fragments would not fit on a program's stack at once."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tests.command import ROOT
from tracer.lab import opening
from tracer.lab.guest import least_environment
from tracer.machine.kernel.btf import Btf
from tracer.observers import headers
from tracer.observers.image import Image, compile_image
from tracer.observers.socket_programs import PROGRAM, text_of
from tracer.observers.tracepoints import plan_of
from tracer.runs import warming


def compiled(btf: Btf, tree: Path | None = None) -> Image:
    """The program as that kernel would have it."""
    text, flags = text_of(PLAN, btf, False)
    text, replaced = re.subn("#define MAX_FRAGS .*", "#define MAX_FRAGS 45", text)
    assert replaced == 1
    return compile_image(text, flags, PROGRAM, tree)


PLAN = plan_of(leaves_machine=False)
# Loads what stands on its standard input.
LOAD = """
import sys, msgspec
from tracer.machine.cgroups import open_cgroup
from tracer.observers.image import Image
from tracer.observers.socket_programs import SocketPrograms
from tracer.observers.tracepoints import plan_of

image = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Image)
with open_cgroup() as cgroup:
    programs = SocketPrograms(cgroup, plan_of(leaves_machine=False), image=image)
    programs.attach()
    print("attached", len(programs.attached), programs.refused)
    programs.close()
"""
LOADED = b"attached 7 {}\n"


@pytest.mark.live
@pytest.mark.skipif(os.geteuid() != 0, reason="loading programs needs CAP_BPF")
def test_this_kernel_s_verifier_takes_the_program_that_reads_45_fragments() -> None:
    """It sees through each chunk, and the stack holds it."""
    image = msgspec.msgpack.encode(compiled(Btf.of_running_kernel()))
    done = subprocess.run([sys.executable, "-c", LOAD], input=image, capture_output=True, cwd=ROOT, check=False)

    assert (done.stdout, done.returncode) == (LOADED, 0), done.stderr


@pytest.mark.lab
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kernel", ["6.1"])
def test_the_oldest_verifier_takes_it_too(kernel: str, tmp_path: Path) -> None:
    """It follows each way through a loop, and is the first to give up. The program is compiled here, by its types."""
    told, environment = bytearray(), least_environment() | {"PYTHONPATH": str(ROOT)}
    with opening.guest(warming.wanted(kernel, least=warming.EXEC), print) as guest:
        of_guest = guest.hardware.kernel
        btf = types_of(of_guest.bootable, tmp_path)
        headers.write_tree(tmp_path / "tree", headers.tree(btf, of_guest.release))
        image = msgspec.msgpack.encode(compiled(btf, tmp_path / "tree"))
        status = guest.run([sys.executable, "-c", LOAD], "/", environment, stdin=image, stdout=told.extend)

    assert (bytes(told), status) == (LOADED, 0)


def types_of(kernel: Path, work: Path) -> Btf:
    """Those of a kernel that does not run here: a section of its ELF file."""
    subprocess.run(["objcopy", "-O", "binary", "--only-section=.BTF", kernel, work / "types"], check=True)
    return Btf((work / "types").read_bytes())
