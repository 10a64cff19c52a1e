"""How a lab's guest is prepared for experiments: the steps after which it is saved, and the process that does them.

`python -m tracer.runs.warming KERNEL [--bounce]` makes the snapshots of one kind of guest; see tracer.lab.making.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from tracer.lab import making, opening, rootfs, sources
from tracer.lab.guest import least_environment
from tracer.lab.making import Command, Step
from tracer.lab.opening import Wanted
from tracer.model import Experiment, ObserverChoice
from tracer.runs import warm
from tracer.runs.orders import Order

EXEC, RUN, ALL = 0, 1, 2
"""How far a guest is prepared for: any command; an experiment; one with both observers."""

_SOURCES = f"{warm.SOURCES}/first"


def wanted(kernel: str, *, bounce: bool = False, counting: bool = False, least: int = RUN) -> Wanted:
    """A guest of this kernel."""
    return Wanted(kernel, bounce, maker, resident(), least, counting)


def least_for(observer: ObserverChoice) -> int:
    """How far a guest must be prepared for this choice: to compile in it takes longer than its preparation."""
    return RUN if observer in (ObserverChoice.AUTO, ObserverChoice.FUNCTIONS) else ALL


def resident() -> str:
    """A digest of what stays alive in a saved guest."""
    return hashlib.sha256(Path(warm.__file__).read_bytes()).hexdigest()[:12]


def maker(kernel: str, bounce: bool) -> list[str]:
    """The command of the process that makes the snapshots."""
    flags = ["--bounce"] if bounce else []
    return [sys.executable, "-P", "-s", "-c", _MAKER, str(sources.HOME), kernel, *flags]


_MAKER = "import sys; sys.path.insert(0, sys.argv.pop(1)); from tracer.runs import warming; warming.main(sys.argv[1:])"


def environment() -> dict[str, str]:
    """Of every Python of ours in the guest."""
    path = ":".join([_SOURCES, *rootfs.library_path()])
    return least_environment() | {"PYTHONPATH": path, "NETTRACE_LAB": "yes"}


def python(module: str) -> list[str]:
    """The command of a module in the guest."""
    return [rootfs.interpreter(), "-P", "-s", "-S", "-m", module]


def steps(digest: str) -> list[Step]:
    """What is done before RUN and before ALL, with nettrace's modules of this digest."""
    unpack = f"mkdir -p {_SOURCES} && tar -x -C {_SOURCES} && exec {' '.join(python('tracer.runs.warm'))} </dev/null"
    first = Command(["sh", "-c", unpack], environment(), sources.bundle(digest))
    programs = _Programs()
    return [
        Step("compiling the probes for this kernel, once", [first, _of_the_resident(programs.first)]),
        Step("compiling the tracepoints' probes too", [_of_the_resident(programs.others), *_tidying()]),
    ]


class _Programs:
    """What the guest asks for when it is first prepared, compiled here if that can be done; else the guest will.

    Whoever waits for the first step waits for one program.
    """

    _asked = b""

    def first(self, asked: bytes) -> bytes:
        """The order that brings it; the guest has just said what it needs."""
        from tracer.observers import for_guests

        self._asked = asked
        return warm.PREPARE_FUNCTIONS + b"\n" + for_guests.compiled(asked, 1)

    def others(self, _said: bytes) -> bytes:
        """The order that brings all."""
        from tracer.observers import for_guests

        return warm.PREPARE_TRACEPOINTS + b"\n" + for_guests.compiled(self._asked)


def _of_the_resident(order: bytes | Callable[[bytes], bytes]) -> Command:
    return Command(python("tracer.runs.in_guest"), environment() | {"NETTRACE_RESIDENT": warm.ADDRESS}, order)


def _tidying() -> list[Command]:
    """What is saved of the files that have been read, is what a run reads: one is done for that."""
    small = Experiment(mode="zerocopy", size=4096, messages=16, observer=ObserverChoice.ALL)
    rehearsal = Order(experiment=small, leaves_nothing=True)
    forget = Command(["sh", "-c", "echo 1 >/proc/sys/vm/drop_caches"])
    run = _of_the_resident(msgspec.json.encode(rehearsal) + b"\n")._replace(needed=False)
    return [forget, run, Command([*python("tracer.runs.warm"), warm.CLEAR], environment(), needed=False)]


def main(arguments: list[str]) -> None:
    """Make the snapshots of a kind of guest; what goes wrong is told in its log."""
    asked = wanted(arguments[0], bounce="--bounce" in arguments)
    hardware = opening.hardware(asked, lambda _: None)
    digest = sources.digest()
    making.make(opening.place(asked, hardware), hardware, digest, steps(digest))


if __name__ == "__main__":
    main(sys.argv[1:])
