"""The facts of doctor, from the texts they are read from; and the command on this machine."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from tracer.books.facts import Diagnosis, Fact, Purpose, State, diagnose
from tracer.commands.doctor import command
from tracer.errors import MachineError
from tracer.machine.kernel import bpf_trial, capabilities
from tracer.machine.kernel.examination import tried_fact
from tracer.machine.kernel.installation import Interpreter, bcc_problem, find_bcc
from tracer.reports.doctor import doctor_text

STATUS_OF_ROOT = "Name:\tbash\nCapPrm:\t000001ffffffffff\nCapEff:\t000001ffffffffff\n"
STATUS_OF_A_USER = "Name:\tbash\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapBnd:\t000001ffffffffff\n"
STATUS_WITH_BPF_AND_PERFMON = "CapEff:\t000000c000000000\n"

NOBODY: frozenset[str] = frozenset()
ROOT = frozenset(capabilities.CAPABILITIES)

VENV = Interpreter("/home/me/.venv/bin/python", "/home/me/.venv", "/usr")


def fact(name: str, state: State = State.OK, *, required: bool = False) -> Fact:
    """A fact of which only the name and state matter."""
    return Fact(
        name=name, purpose=Purpose.RUN, state=state, detail="found", why_it_matters="it does", required=required
    )


def package(directory: Path, source: str) -> Path:
    """A Python package bcc with that source; returns its file."""
    file = directory / "bcc" / "__init__.py"
    file.parent.mkdir(parents=True)
    file.write_text(source)
    return file


@pytest.fixture
def real_bcc(tmp_path: Path) -> Path:
    """What the distribution's package looks like from outside."""
    return package(tmp_path / "dist-packages", "import ctypes\n\nclass BPF(object):\n    pass\n")


@pytest.fixture
def lattice_bcc(tmp_path: Path) -> Path:
    """The unrelated package of the same name: n-dimensional lattices."""
    return package(tmp_path / "site-packages", "from .lattice import Lattice\n# class BPF would be another thing\n")


def test_root_holds_every_capability_that_nettrace_uses():
    """All bits of CapEff are set."""
    assert capabilities.effective_capabilities(STATUS_OF_ROOT) == ROOT


def test_the_effective_set_counts_not_the_bounding_set():
    """A user's bounding set is full; it gives nothing."""
    assert capabilities.effective_capabilities(STATUS_OF_A_USER) == NOBODY


def test_two_capabilities_suffice_to_trace():
    """CAP_BPF (39) and CAP_PERFMON (38) are enough; one of them is not."""
    both = capabilities.effective_capabilities(STATUS_WITH_BPF_AND_PERFMON)

    assert both == {"CAP_BPF", "CAP_PERFMON"}
    assert capabilities.may_trace(both)
    assert not capabilities.may_trace(frozenset({"CAP_BPF"}))
    assert capabilities.may_trace(frozenset({"CAP_SYS_ADMIN"}))


def test_missing_capabilities_are_named_with_the_command_that_gives_them(monkeypatch: pytest.MonkeyPatch):
    """By its absolute path: sudo's secure_path knows no virtual environment."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    told = capabilities.capabilities_fact(NOBODY, "2")

    assert told.state is State.MISSING
    assert "CAP_BPF" in told.detail
    assert told.fix == f"sudo {Path(sys.executable).with_name('nettrace')}"


@pytest.mark.parametrize(
    ("text", "state", "detail"),
    [
        ("[none] integrity confidentiality", State.OK, "none"),
        ("none [integrity] confidentiality", State.OK, "integrity"),
        ("none integrity [confidentiality]", State.MISSING, "confidentiality"),
        ("", State.UNKNOWN, "securityfs is not mounted"),
        (None, State.UNKNOWN, "securityfs is not mounted"),
    ],
)
def test_only_confidentiality_locks_nettrace_out(text: str | None, state: State, detail: str):
    """Integrity protects the kernel from being written, which nettrace never does."""
    told = capabilities.lockdown_fact(text)

    assert told.state is state
    assert told.detail.startswith(detail)
    assert bool(told.fix) == (state is not State.OK)


@pytest.mark.parametrize(
    ("text", "state"), [("131072", State.OK), ("20480", State.OK), ("4096", State.MISSING), (None, State.UNKNOWN)]
)
def test_a_small_optmem_max_is_told_with_the_sysctl(text: str | None, state: State):
    """Both defaults that kernels have had are enough; what is smaller makes ENOBUFS likely."""
    told = capabilities.optmem_fact(text)

    assert told.state is state
    assert told.fix == ("" if state is State.OK else "sysctl -w net.core.optmem_max=131072")


@pytest.mark.parametrize(
    ("limit", "held", "state"),
    [(-1, NOBODY, State.OK), (8 << 20, NOBODY, State.OK), (65536, NOBODY, State.MISSING), (65536, ROOT, State.OK)],
)
def test_memlock_binds_only_who_has_no_cap_ipc_lock(limit: int, held: frozenset[str], state: State):
    """mm_account_pinned_pages() lets CAP_IPC_LOCK pass, whatever the limit is."""
    assert capabilities.memlock_fact(limit, held).state is state


@pytest.mark.parametrize(
    ("level", "held", "state"),
    [("1", NOBODY, State.OK), ("2", NOBODY, State.MISSING), ("4", ROOT, State.OK), (None, NOBODY, State.UNKNOWN)],
)
def test_perf_event_paranoid_binds_only_who_may_not_trace(level: str | None, held: frozenset[str], state: State):
    """Above 1 the kernel's own cycles are for CAP_PERFMON."""
    assert capabilities.paranoid_fact(level, held).state is state


def test_hidden_kernel_addresses_are_told():
    """kptr_restrict = 2 hides them even from root."""
    hidden = capabilities.addresses_fact(True, "2")

    assert capabilities.addresses_fact(False, "1").state is State.OK
    assert hidden.state is State.MISSING
    assert "kernel.kptr_restrict = 2" in hidden.detail
    assert hidden.fix == "sysctl -w kernel.kptr_restrict=1"


def test_tracefs_that_is_not_mounted_is_told_with_the_mount(tmp_path: Path):
    """Its absence stops nothing that uses raw tracepoints, and the fact says so."""
    told = capabilities.tracefs_fact(tmp_path / "tracing")

    assert told.state is State.MISSING
    assert told.fix.startswith("mount -t tracefs")
    assert "raw tracepoints" in told.why_it_matters
    assert not told.required


def test_cycles_that_do_not_exist_are_missing_and_cycles_that_are_refused_unknown():
    """Without privilege nobody can say whether there is a counter."""
    assert capabilities.cycles_fact(None, NOBODY).state is State.OK
    assert capabilities.cycles_fact("ENOENT: No such file or directory", ROOT).state is State.MISSING
    assert capabilities.cycles_fact("EACCES: Permission denied", NOBODY).state is State.UNKNOWN


def test_an_attempt_that_fails_says_how(monkeypatch: pytest.MonkeyPatch):
    """Root learns that the kernel refuses; anyone else learns nothing, for it may refuse only them."""
    monkeypatch.setattr(capabilities, "held_capabilities", lambda: ROOT)
    to_root = tried_fact("fentry", Purpose.FUNCTIONS, "why", lambda: "EPERM: Operation not permitted")
    monkeypatch.setattr(capabilities, "held_capabilities", lambda: NOBODY)
    to_a_user = tried_fact("fentry", Purpose.FUNCTIONS, "why", lambda: "EPERM: Operation not permitted")

    assert (to_root.state, to_root.fix) == (State.MISSING, capabilities.IN_THE_LAB)
    assert (to_a_user.state, to_a_user.fix) == (State.UNKNOWN, capabilities.as_root())


def test_an_unknown_architecture_is_a_reason_not_a_crash(monkeypatch: pytest.MonkeyPatch):
    """The system calls' numbers differ; a wrong number would call something else."""
    monkeypatch.setattr(bpf_trial.platform, "machine", lambda: "pdp11")

    assert bpf_trial.can_load(bpf_trial.ProgramType.KPROBE) == "ENOSYS: the system calls of pdp11 are not known here"


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (errno.EPERM, "EPERM: Operation not permitted"),
        (errno.EINVAL, "EINVAL: Invalid argument"),
        (524, "524: Unknown error 524"),
    ],
)
def test_the_kernels_refusal_is_told_by_its_name(number: int, told: str, monkeypatch: pytest.MonkeyPatch):
    """524 is the kernel's own ENOTSUPP, which has no name outside of it."""

    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(bpf_trial, "_call", refuse)

    assert bpf_trial.can_break_at(0xFFFFFFFF81000000) == told


def test_the_real_bcc_is_no_problem(real_bcc: Path):
    """It is known by its class BPF."""
    assert bcc_problem(real_bcc, real_bcc, VENV) is None


def test_the_unrelated_bcc_is_told_apart(lattice_bcc: Path, real_bcc: Path):
    """It imports well and has no class BPF; removing it uncovers the distribution's."""
    problem = bcc_problem(lattice_bcc, real_bcc, VENV)

    assert problem is not None
    assert "wrong one" in problem.what
    assert problem.fix == "/home/me/.venv/bin/python -m pip uninstall bcc"


def test_the_unrelated_bcc_alone_has_two_fixes(lattice_bcc: Path, tmp_path: Path):
    """Where the distribution's is not installed either, removing the wrong one is not enough."""
    problem = bcc_problem(lattice_bcc, tmp_path / "none", VENV)

    assert problem is not None
    assert problem.fix.endswith("-m pip uninstall bcc; then apt-get install python3-bpfcc")


def test_a_closed_environment_is_told_how_to_open(real_bcc: Path):
    """BCC is there for /usr/bin/python3, and this environment was made without --system-site-packages."""
    problem = bcc_problem(None, real_bcc, VENV)

    assert problem is not None
    assert "/usr/bin/python3" in problem.why
    assert problem.fix == "sed -i '/^include-system-site-packages/s/false/true/' /home/me/.venv/pyvenv.cfg"


def test_another_python_is_told_to_use_the_distributions(real_bcc: Path):
    """A Python from elsewhere cannot see Debian's packages, whatever its environment says."""
    problem = bcc_problem(None, real_bcc, Interpreter("/opt/bin/python3.12", "/opt", "/opt"))

    assert problem is not None
    assert problem.fix.startswith("/usr/bin/python3 -m venv --system-site-packages")


def test_no_bcc_at_all_is_one_package_away(tmp_path: Path):
    """The package of the distribution, by name."""
    problem = bcc_problem(None, tmp_path / "none", VENV)

    assert isinstance(problem, MachineError)
    assert problem.fix == "apt-get install python3-bpfcc"


def test_bcc_is_found_without_being_imported(lattice_bcc: Path, monkeypatch: pytest.MonkeyPatch):
    """Importing it costs a second, and the wrong one would run its code."""
    monkeypatch.delitem(sys.modules, "bcc", raising=False)

    assert find_bcc([str(lattice_bcc.parents[1])]) == lattice_bcc
    assert find_bcc([]) is None
    assert "bcc" not in sys.modules


def test_a_machine_without_function_probes_can_run():
    """Tracepoints are enough for the main job."""
    seen = diagnose([fact("BTF", required=True), fact("fentry", State.MISSING), fact("kprobe", State.MISSING)])

    assert (seen.can_run, seen.observer, seen.functions) == (True, "tracepoints", [])
    assert "refuses function probes" in seen.sentence


def test_a_required_fact_that_is_missing_stops_the_run():
    """The sentence names it."""
    seen = diagnose([fact("BTF", State.MISSING, required=True), fact("capabilities"), fact("fentry")])

    assert (seen.can_run, seen.observer, seen.functions) == (False, None, ["fentry"])
    assert seen.sentence == "nettrace cannot run here until this is mended: BTF."


def test_a_user_without_privilege_is_told_so_first():
    """What the kernel refuses to this user is no lack of the machine."""
    seen = diagnose([fact("raw tracepoint", State.UNKNOWN, required=True), fact("capabilities", State.MISSING)])

    assert not seen.can_run
    assert seen.sentence == "This user may not run nettrace here: it takes root, or CAP_BPF and CAP_PERFMON (found)."


def test_the_table_is_plain_and_at_most_100_columns_wide():
    """Piped output has no escape sequences; every fact that is not ok comes with its reason."""
    text = doctor_text(diagnose([fact("BTF", State.MISSING, required=True), fact("x" * 19)]), colour=False)

    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 100
    assert re.search(r"missing +BTF +found\n +why: it does\n", text)


def test_colour_only_where_it_is_asked_for():
    """A terminal gets its colours."""
    assert "\x1b[" in doctor_text(diagnose([fact("BTF")]), colour=True)


@pytest.mark.system
def test_doctor_prints_one_json_document():
    """It decodes into the published type, and the exit code says the same as can_run."""
    ran = CliRunner().invoke(command, ["--json"])
    document = json.loads(ran.stdout)

    assert document["schema"] == "nettrace.doctor/1"
    assert ran.exit_code == (0 if document["can_run"] else 4)
    assert msgspec.convert(document, Diagnosis).can_run is document["can_run"]


@pytest.mark.system
def test_every_fact_that_is_not_ok_has_a_fix():
    """Whatever is missing on this machine, the user is told what to do."""
    facts = json.loads(CliRunner().invoke(command, ["--json"]).stdout)["facts"]

    assert [fact["name"] for fact in facts if fact["state"] != "ok" and not fact["fix"]] == []
    assert len({fact["name"] for fact in facts}) == len(facts)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
def test_doctor_serves_a_user_without_privilege():
    """Unknown or missing with reasons; exit code 4, no traceback."""
    # Imports first: nobody may not be allowed to read this directory.
    code = "import os, tracer.machine.kernel.examination, tracer.machine.kernel.installation, tracer.reports.doctor\n"
    code += "from tracer.commands.doctor import command\n"
    code += "os.setgroups([]); os.setgid(65534); os.setuid(65534); command([])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert ran.returncode == 4
    assert "Traceback" not in ran.stderr
    assert re.search(r"unknown +raw tracepoint +tried: EPERM", ran.stdout)
    assert "This user may not run nettrace here" in ran.stdout
