"""Makes a snapshot: boots a guest, has it prepare step by step, and saves it after each, so that nobody waits for all.

It is a process of its own, since it goes on behind the answer of the command that wanted the first step; whoever else
wants the same waits for the same process. It tells how far it is in a log, which they follow.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tracer.errors import LabError, NettraceError
from tracer.lab import machine, snapshots
from tracer.lab.guest import BOOT_S, Guest
from tracer.lab.kernels import Note
from tracer.lab.machine import Hardware
from tracer.lab.snapshots import Place, Snapshot

_LOOK_S = 0.02
_FAILED = "failed: "


class Command(NamedTuple):
    """Run in the guest, among the root image's files.

    Args:
        stdin: Its standard input, or what makes that, here, of the standard output of the command before.
        needed: All is given up if its exit code is not 0.
    """

    argv: Sequence[str]
    env: dict[str, str] | None = None
    stdin: bytes | Callable[[bytes], bytes] = b""
    needed: bool = True


class Step(NamedTuple):
    """What is done in the guest before it is saved once more.

    Args:
        label: For the user who waits.
    """

    label: str
    commands: Sequence[Command]


def make(place: Place, hardware: Hardware, sources: str, steps: Sequence[Step]) -> None:
    """In the process of its own: make all of them; the log ends with what went wrong."""
    with place.lock(wait=False) as mine:
        if not mine:
            return
        log = place.log()
        log.write_text("")

        def tell(line: str) -> None:
            with log.open("a") as file:
                file.write(line + "\n")

        try:
            _make(place, hardware, sources, steps, tell)
        except NettraceError as error:
            tell(_FAILED + json.dumps([error.what, error.why]))
        except OSError as error:
            tell(_FAILED + json.dumps(["cannot keep a snapshot of the lab's guest", str(error)]))


def _make(place: Place, hardware: Hardware, sources: str, steps: Sequence[Step], tell: Note) -> None:
    snapshots.require_room()
    if place.best(len(steps)):
        return
    with _memory() as ram, machine.own_directory() as directory:
        guest = Guest(machine.launch(hardware, directory, ram=ram), hardware)
        try:
            tell("booting the lab's guest")
            guest.wait(BOOT_S)
            place.save(guest.machine, ram, 0, sources, last=not steps)
            for number, step in enumerate(steps, 1):
                _go_on(guest)
                tell(step.label)
                do(guest, step)
                place.save(guest.machine, ram, number, sources, last=number == len(steps))
        finally:
            guest.machine.stop()
    snapshots.prune()


@contextlib.contextmanager
def _memory() -> Iterator[int]:
    """The guest's RAM: in memory while it is made, since a full disk under a mapped file would kill QEMU."""
    descriptor = os.memfd_create("ram")
    try:
        os.ftruncate(descriptor, machine.MEMORY)
        yield descriptor
    finally:
        os.close(descriptor)


def _go_on(guest: Guest) -> None:
    with guest.machine.monitor() as monitor:
        monitor.ask("cont")


def do(guest: Guest, step: Step) -> None:
    """Have it done in a guest.

    Raises:
        LabError: it failed.
    """
    told = bytearray()
    for one in step.commands:
        stdin = one.stdin if isinstance(one.stdin, bytes) else one.stdin(bytes(told))
        said, told = bytearray(), bytearray()
        status = guest.run(
            one.argv, env=one.env, stdin=stdin, stdout=told.extend, stderr=said.extend, host_files=False
        )  # fmt: skip
        if status != 0 and one.needed:
            last = said.decode(errors="replace").strip().splitlines()[-6:]
            raise LabError(f"the lab's guest failed at {step.label} (exit code {status})", " / ".join(last[-2:]))


def wait_for(place: Place, command: Sequence[str], least: int, note: Note) -> Snapshot:
    """The snapshot once it is prepared as far as `least`, made by the process that this command starts.

    Raises:
        LabError: it could not be made.
    """
    follower = _Follower(place.log(), note)
    maker: subprocess.Popen[bytes] | None = None
    while True:
        with place.lock(wait=False) as idle:
            found = place.best(least)
            if found is None and idle and maker is None:
                place.log().unlink(missing_ok=True)
                maker = _start(command)
            ended = idle and maker is not None and maker.poll() is not None
        if found:
            return found
        follower.tell()
        if ended:
            raise follower.failure()
        time.sleep(_LOOK_S)


def start_behind(place: Place, command: Sequence[str]) -> None:
    """Have it made by a process that nobody waits for, unless one is at it."""
    with place.lock(wait=False) as idle:
        pass
    if idle:
        _start(command)


def _start(command: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )


class _Follower:
    def __init__(self, log: Path, note: Note) -> None:
        self._log, self._note, self._told = log, note, 0

    def _lines(self) -> list[str]:
        with contextlib.suppress(OSError):
            return self._log.read_text().splitlines()
        return []

    def tell(self) -> None:
        """Pass on what is new."""
        lines = [line for line in self._lines() if not line.startswith(_FAILED)]
        for line in lines[self._told :]:
            self._note(line)
        self._told = len(lines)

    def failure(self) -> LabError:
        """Why there is no snapshot."""
        for line in self._lines():
            if line.startswith(_FAILED):
                return LabError(*json.loads(line.removeprefix(_FAILED)))
        return LabError("no snapshot of the lab's guest was made", "the process that makes it was ended")
