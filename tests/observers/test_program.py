"""What the kernel refuses, told as what it is; programs on cgroups that vanish with us."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.command import ROOT
from tracer.errors import MachineError, PrivilegeError
from tracer.machine.cgroups import open_cgroup
from tracer.observers.cgroup_links import exclusive_holder
from tracer.observers.compiling import compile_text
from tracer.observers.loading import Refusal
from tracer.observers.program import _refused
from tracer.observers.socket_programs import SocketPrograms
from tracer.observers.tracepoints import plan_of

EGRESS = 1  # BPF_CGROUP_INET_EGRESS, enum bpf_attach_type of linux/bpf.h


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError(errno.EPERM, os.strerror(errno.EPERM)), PrivilegeError),
        (OSError(errno.EACCES, os.strerror(errno.EACCES)), PrivilegeError),
        (OSError(errno.ENOENT, os.strerror(errno.ENOENT)), MachineError),
        (Refusal(errno.EPERM, "the verifier's last word"), PrivilegeError),
        (Refusal(errno.EINVAL, os.strerror(errno.EPERM)), MachineError),
        (OSError("libbcc cannot attach a kprobe"), MachineError),
    ],
)
def test_only_a_refusal_for_want_of_privilege_is_one(error: OSError | Refusal, kind: type) -> None:
    """By the error's own number; not by its words, nor by what an earlier call left in errno."""
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


def attach_alone(cgroup: Path) -> Callable[[], None]:
    """As BCC does by itself: bpf_prog_attach() without flags. How to take it off again."""
    import bcc

    program = compile_text("int passes(struct __sk_buff *context) { return 1; }")
    function = program.load_func("passes", bcc.BPF.CGROUP_SKB)
    descriptor = os.open(cgroup, os.O_RDONLY)
    program.attach_func(function, descriptor, EGRESS)

    def detach() -> None:
        program.detach_func(function, descriptor, EGRESS)
        os.close(descriptor)

    return detach


def watch(cgroup: Path) -> SocketPrograms:
    """A workload's programs, on this cgroup."""
    programs = SocketPrograms(cgroup, plan_of(leaves_machine=False))
    try:
        programs.attach()
    except BaseException:
        programs.close()
        raise
    return programs


@pytest.mark.live
def test_a_program_that_holds_the_cgroup_above_alone_is_named(cgroup: Path, below: Path) -> None:
    """EPERM to root: no privilege is missing, another program is in the way."""
    detach = attach_alone(cgroup)
    try:
        with pytest.raises(MachineError) as refusal:
            watch(below)
    finally:
        detach()

    assert str(cgroup) in refusal.value.why
    assert "alone" in refusal.value.why
    assert "--lab" in refusal.value.fix


@pytest.mark.live
def test_ours_stand_beside_others_and_hold_nothing_alone(cgroup: Path, below: Path) -> None:
    """By links: BPF_F_ALLOW_MULTI."""
    above, second = watch(cgroup), watch(below)
    holder = exclusive_holder(below, EGRESS)
    second.close()
    above.close()

    assert holder is None


@pytest.mark.live
def test_programs_go_with_a_process_that_is_killed(cgroup: Path) -> None:
    """Nobody else would ever take them off."""
    code = (
        "import os, signal; from pathlib import Path; from tests.observers.test_program import watch\n"
        f"watch(Path({str(cgroup)!r}))\n"
        "print('attached', flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True, text=True)
    assert (killed.stdout, killed.returncode) == ("attached\n", -9)

    attach_alone(cgroup)()  # refused if anything were still attached


@pytest.mark.live
@pytest.mark.parametrize("language", ["tr_TR", "az_AZ"])
def test_programs_compile_in_a_language_whose_small_i_is_another(language: str, tmp_path: Path) -> None:
    """LLVM reads its own options by the locale's idea of upper and lower case."""
    if shutil.which("localedef") is None or not Path(f"/usr/share/i18n/locales/{language}").exists():
        pytest.skip("no locale can be made here (Debian: locales)")
    subprocess.run(["localedef", "-i", language, "-f", "UTF-8", str(tmp_path / f"{language}.UTF-8")], check=True)
    program = "from tracer.observers.compiling import compile_text; compile_text('int tried(u64 *ctx) { return 0; }')"
    environment = {**os.environ, "LOCPATH": str(tmp_path), "LC_ALL": f"{language}.UTF-8"}
    tried = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, check=False)

    assert (tried.returncode, tried.stderr) == (0, b"")
