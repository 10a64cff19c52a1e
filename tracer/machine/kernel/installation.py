"""What else nettrace needs on this machine: BCC, its own engine, perf, and what the lab runs on.

BCC is looked for but never imported: that takes a second, and belongs to tracer/observers alone.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.machinery
import platform
import re
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

from tracer.books.facts import Fact, Purpose, State
from tracer.errors import MachineError
from tracer.machine.perf_program import perf_fact

# Where Debian, Ubuntu and their kin put it, for /usr/bin/python3.
DISTRIBUTION_BCC = Path("/usr/lib/python3/dist-packages/bcc/__init__.py")
_INSTALL_BCC = "apt-get install python3-bpfcc"


class Interpreter(NamedTuple):
    """A Python: where it lives, and the one that its virtual environment was made from."""

    executable: str
    prefix: str
    base_prefix: str

    @classmethod
    def running(cls) -> Interpreter:
        """The one that runs this."""
        return cls(sys.executable, sys.prefix, sys.base_prefix)


@functools.cache
def require_bcc() -> None:
    """Return if BCC can be imported.

    Raises:
        MachineError: if there is none, another package has its name, or only another interpreter has it.
    """
    problem = bcc_problem(find_bcc(), DISTRIBUTION_BCC, Interpreter.running())
    if problem is not None:
        raise problem


def find_bcc(path: list[str] | None = None) -> Path | None:
    """The file that `import bcc` would run; None if there is none."""
    spec = importlib.machinery.PathFinder.find_spec("bcc", path)
    return None if spec is None or spec.origin is None else Path(spec.origin)


def is_bcc(package: Path) -> bool:
    """Whether this is the BPF Compiler Collection: it has a class BPF. PyPI's "bcc" is about lattices."""
    return re.search(r"^class BPF\b", package.read_text(errors="replace"), re.MULTILINE) is not None


def bcc_problem(found: Path | None, distribution: Path, python: Interpreter) -> MachineError | None:
    """What keeps BCC from being used, with the command that helps; None if it can be used.

    Args:
        found: The file that `import bcc` would run.
        distribution: The file that the distribution's package would have.
        python: The interpreter that would import it.
    """
    if found is not None and is_bcc(found):
        return None
    if found is not None:
        then = "" if distribution.exists() else f"; then {_INSTALL_BCC}"
        return MachineError(
            "the Python package bcc is the wrong one",
            f"{found} has no class BPF: PyPI's bcc is an unrelated package about lattices",
            f"{python.executable} -m pip uninstall bcc{then}",
        )
    if distribution.exists():
        return MachineError(
            "this Python does not see BCC",
            f"BCC is installed for /usr/bin/python3 ({distribution.parent}), but nettrace runs in {python.executable}",
            _open_environment(python),
        )
    return MachineError("BCC is not installed", f"{python.executable} finds no Python package bcc", _INSTALL_BCC)


def _open_environment(python: Interpreter) -> str:
    if python.base_prefix == "/usr" and python.prefix != python.base_prefix:
        return f"sed -i '/^include-system-site-packages/s/false/true/' {python.prefix}/pyvenv.cfg"
    return "/usr/bin/python3 -m venv --system-site-packages .venv && .venv/bin/pip install nettrace-copies"


def installation_facts() -> list[Fact]:
    """What is installed, and what is not."""
    return [bcc_fact(), engine_fact(), perf_fact(), qemu_fact(), busybox_fact()]


def bcc_fact() -> Fact:
    """The package that compiles and loads the BPF programs."""
    found = find_bcc()
    problem = bcc_problem(found, DISTRIBUTION_BCC, Interpreter.running())
    return Fact(
        name="BCC",
        purpose=Purpose.RUN,
        state=State.MISSING if problem else State.OK,
        detail=f"{problem.what}: {problem.why}" if problem else f"{version_of(found)}, {found.parent if found else ''}",
        why_it_matters="compiles the programs that watch the kernel",
        fix=problem.fix if problem else "",
        required=True,
    )


def version_of(package: Path | None) -> str:
    """What BCC calls itself; "none" without one."""
    if package is None:
        return "none"
    try:
        text = (package.parent / "version.py").read_text()
    except OSError:
        return "unknown version"
    found = re.search(r"__version__ = '([^']+)'", text)
    return found[1] if found else "unknown version"


def engine_fact() -> Fact:
    """The compiled sender and receiver."""
    home = Path(__file__).parents[3]
    directory = home / "workloads" / "engine"
    built: list[Path] = []
    with contextlib.suppress(OSError):  # a directory that this user may not read
        for suffix in importlib.machinery.EXTENSION_SUFFIXES:
            built += directory.glob(f"_engine{suffix}")
    return Fact(
        name="engine",
        purpose=Purpose.RUN,
        state=State.OK if built else State.MISSING,
        detail=str(built[0]) if built else f"no compiled _engine in {directory}",
        why_it_matters="sends and receives the payload",
        fix="" if built else f"{sys.executable} -m pip install -e {home}",
        required=True,
    )


def qemu_fact() -> Fact:
    """The machine that the lab runs on."""
    name = f"qemu-system-{platform.machine()}"
    package = "qemu-system-x86" if platform.machine() == "x86_64" else "qemu-system"
    return _program_fact(
        "QEMU", name, package, "runs the lab: another kernel, with function probes and a network device"
    )


def busybox_fact() -> Fact:
    """What the lab's guest starts from."""
    return _program_fact("busybox", "busybox", "busybox-static", "is the first program of the lab's guest")


def _program_fact(name: str, program: str, package: str, why: str) -> Fact:
    found = shutil.which(program)
    return Fact(
        name=name,
        purpose=Purpose.LAB,
        state=State.OK if found else State.MISSING,
        detail=found or f"{program} is not installed",
        why_it_matters=why,
        fix="" if found else f"apt-get install {package}",
    )
