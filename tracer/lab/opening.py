"""The way to a guest: the one that stays where it is what is wanted, else a fresh one from a snapshot, else a boot."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tracer.errors import LabError
from tracer.lab import image, kept, kernels, machine, making, needs, places, rootfs
from tracer.lab.guest import ANSWER_S, BOOT_S, Guest
from tracer.lab.kernels import Note
from tracer.lab.machine import Hardware
from tracer.lab.snapshots import Place, Snapshot, facts_of


@dataclass(frozen=True)
class Wanted:
    """Which guest, and how to have a snapshot of it made.

    Args:
        maker: The command of a process that calls making.make().
        resident: Digest of what that leaves running in the guest.
        least: How far a snapshot must have been prepared.
    """

    kernel: str
    bounce: bool
    maker: Callable[[str, bool], Sequence[str]]
    resident: str
    least: int = 0
    counting: bool = False


def hardware(wanted: Wanted, note: Note) -> Hardware:
    """What the guest is made of, fetched and built where needed.

    Raises:
        MachineError: a program is missing.
        LabError: the kernel or the root image cannot be made.
    """
    needs.require_programs()
    kernel = kernels.get(wanted.kernel, note)
    emulated = wanted.counting or not machine.kvm_works()
    return Hardware(kernel, image.build(kernel), rootfs.image(), wanted.bounce, emulated, wanted.counting)


def place(wanted: Wanted, of: Hardware) -> Place:
    """Where its snapshots are."""
    kind = f"{wanted.kernel}-bounce" if wanted.bounce else wanted.kernel
    return Place(kind, facts_of(of, wanted.resident))


@contextlib.contextmanager
def guest(wanted: Wanted, note: Note) -> Iterator[Guest]:
    """A guest for one command; a fresh one ends with it.

    Raises:
        MachineError: the lab lacks something here.
        LabError: no guest came up.
    """
    if _stays(wanted):
        with kept.locked(note):
            staying = kept.guest()
            if staying is not None:
                yield staying
                return
    with machine.own_directory() as directory:
        fresh = start(wanted, directory, note)
        try:
            yield fresh
        finally:
            fresh.machine.kill()


def _stays(wanted: Wanted) -> bool:
    facts = kept.running()
    if facts is None or facts.libraries != ":".join(rootfs.library_path()):
        return False
    return (facts.kernel, facts.bounce, wanted.counting) == (wanted.kernel, wanted.bounce, False)


def start(wanted: Wanted, directory: Path, note: Note, *, stays: bool = False) -> Guest:
    """A guest that answers: from a snapshot; booted, and the reason told, where there can be none."""
    try:
        of = hardware(wanted, note)
        where = place(wanted, of)
        if where.best(wanted.least) is None and (changed := where.why_stale()):
            note(f"the lab's snapshot of kernel {where.kind} is out of date ({changed} changed): making another one")
        saved = making.wait_for(where, wanted.maker(wanted.kernel, wanted.bounce), wanted.least, note)
    except LabError as error:
        return _boot(wanted, directory, note, error, stays)
    try:
        return _restore(saved, of, directory, stays)
    except LabError as error:
        saved.remove()
        return _boot(wanted, directory, note, error, stays)


def _restore(saved: Snapshot, of: Hardware, directory: Path, stays: bool) -> Guest:
    with saved.opened() as (ram, state):
        qemu = machine.launch(of, directory, ram=ram, shared=False, state=state, stays=stays)
        try:
            with qemu.monitor() as monitor:
                monitor.load(state)
            restored = Guest(qemu, of, saved.sources if saved.step else None, saved.step)
            restored.wait(ANSWER_S)
        except BaseException:
            qemu.kill()
            raise
    return restored


def _boot(wanted: Wanted, directory: Path, note: Note, why: LabError, stays: bool) -> Guest:
    note(f"no snapshot of the lab's guest ({why.what}{': ' if why.why else ''}{why.why}): booting one")
    needs.require_programs()
    kernel = kernels.get(wanted.kernel, note)
    emulated = wanted.counting or not machine.kvm_works()
    of = Hardware(kernel, image.build(kernel), None, wanted.bounce, emulated, wanted.counting)
    booted = Guest(machine.launch(of, directory, stays=stays), of)
    try:
        booted.wait(BOOT_S)
    except BaseException:  # one that was to stay would go on, and nobody would know of it
        booted.machine.kill()
        raise
    return booted


def keep(wanted: Wanted, note: Note) -> Guest:
    """Have this guest stay until kept.stop(), or until nobody has asked for anything for its idle time."""
    with kept.locked(note):
        if kept.stop():
            note("stopped the lab's guest that ran before: one stays at a time")
        staying = start(wanted, places.kept(), note, stays=True)
        kept.remember(staying)
    return staying
