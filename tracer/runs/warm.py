"""What waits in the lab's guest: a process with libraries loaded and probes compiled, a fork of which does a run.

It goes on living in every guest that is restored from the same snapshot, while nettrace's own modules may have been
edited since. So what it calls is little, and part of the snapshot's key; a run's order brings the modules along where
they have changed, and the fork imports those.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import mmap
import os
import shutil
import signal
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tracer.lab.resident import leave_behind

ADDRESS = "/run/nettrace/resident"
PREPARE_FUNCTIONS, PREPARE_TRACEPOINTS = b"prepare functions", b"prepare tracepoints"
CLEAR = "clear"
SOURCES = Path("/run/nettrace/sources")
PACKAGES = ("tracer", "workloads", "bpf")
_LEFT_FREE = 64 << 20
_POPULATED = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE


def main() -> None:
    """Load what a run needs, stay, and ask for the programs that it needs compiled."""
    import pyroute2  # noqa: F401  links import it when they are opened; each fork would anew

    from tracer.machine import links, namespaces, nics  # noqa: F401
    from tracer.observers import for_guests
    from tracer.observers.choice import why_no_functions
    from tracer.observers.program import read_names
    from tracer.runs import in_guest

    in_guest.warm_up()
    why_no_functions()  # remembers the answer
    asked = for_guests.asked()
    leave_behind(Path(ADDRESS), job({}, read_names()))
    sys.stdout.buffer.write(asked)
    sys.stdout.flush()


def job(programs: dict[str, Any], named: range | None) -> Callable[[int | None], int]:
    """What a fork does: the order on its standard input, one line, and what comes with it.

    An experiment may bring the modules to do it with, where they changed.
    """

    def do(predecessor: int | None) -> int:
        order, _, brought = sys.stdin.buffer.read().partition(b"\n")
        if order in _PREPARATIONS:
            _PREPARATIONS[order](programs, brought)
            leave_behind(Path(ADDRESS), job(programs, named))
            os.kill(os.getppid(), signal.SIGKILL)
            return 0
        if brought:
            adopt(brought)
        from tracer.runs import in_guest

        return in_guest.do(order, programs, predecessor, named)

    return do


def prepare_functions(programs: dict[str, Any], compiled: bytes) -> None:
    """Have the function observer's program loaded."""
    from tracer.observers import for_guests, functions

    for_guests.keep(compiled)
    functions.prepare_program(programs)


def prepare_tracepoints(programs: dict[str, Any], compiled: bytes) -> None:
    """Have the other observer's program at hand too."""
    from tracer.machine.kernel.btf import Btf
    from tracer.observers import for_guests, socket_programs, tracepoints

    for_guests.keep(compiled)
    plan = tracepoints.plan_of(leaves_machine=False)  # the same program: other hooks are attached
    socket_programs.prepare_image(plan, Btf.of_running_kernel(), programs)


# The fork takes the resident's place then.
_PREPARATIONS = {PREPARE_FUNCTIONS: prepare_functions, PREPARE_TRACEPOINTS: prepare_tracepoints}


def clear_free_memory() -> None:
    """Have the kernel fill most of what is free with zeros: what was used and freed would be saved with the rest.

    In a process of its own, when the compiler's has ended.
    """
    lines = Path("/proc/meminfo").read_text().splitlines()
    free = next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemFree:"))
    with contextlib.suppress(OSError):
        mmap.mmap(-1, max(free - _LEFT_FREE, mmap.PAGESIZE), flags=_POPULATED).close()


def adopt(modules: bytes) -> None:
    """Have nettrace's modules imported anew, from this tar."""
    directory = SOURCES / "handed-in"
    shutil.rmtree(directory, ignore_errors=True)
    with tarfile.open(fileobj=io.BytesIO(modules)) as archive:
        archive.extraction_filter = lambda member, _: member  # our own; Python 3.12 and 3.13 warn of having none
        archive.extractall(directory)
    for name in [name for name in sys.modules if name.partition(".")[0] in PACKAGES]:
        del sys.modules[name]
    sys.path.insert(0, str(directory))
    importlib.invalidate_caches()


if __name__ == "__main__":
    clear_free_memory() if sys.argv[1:] == [CLEAR] else main()
    os._exit(0)  # the fork lives on; tearing down an interpreter that holds LLVM takes an emulated processor 0.3 s
