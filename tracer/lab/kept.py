"""The one guest that stays between commands, so that what is set up in it stays too: `nettrace lab up`."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from tracer.lab import places, rootfs
from tracer.lab.guest import Guest
from tracer.lab.kernels import Note, fetched
from tracer.lab.machine import Hardware, Machine


@dataclass(frozen=True)
class Facts:
    """What runs, as guest.json keeps it.

    Args:
        kernel: Series, "6.12".
        sources: Digest of nettrace's modules that it holds; None where it holds none.
        step: How far it was prepared.
        libraries: Where the Python of its root image finds them: another installation of nettrace has others.
    """

    pid: int
    kernel: str
    release: str
    bounce: bool
    emulated: bool
    counting: bool
    sources: str | None = None
    step: int = 0
    libraries: str = ""


def running() -> Facts | None:
    """What the guest that stays runs; None where there is none."""
    try:
        facts = Facts(**json.loads((places.kept() / "guest.json").read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
    return facts if Machine(places.kept(), facts.pid).is_alive() else None


def remember(guest: Guest) -> None:
    """From now on this one stays."""
    of = guest.hardware
    facts = Facts(
        guest.machine.pid, of.kernel.name, of.kernel.release, of.bounce, of.emulated, of.counting,
        guest.sources, guest.step, ":".join(rootfs.library_path()),
    )  # fmt: skip
    (places.kept() / "guest.json").write_text(json.dumps(asdict(facts)))


def guest() -> Guest | None:
    """The guest that stays; None where there is none."""
    facts = running()
    kernel = fetched(facts.kernel) if facts is not None else None
    if facts is None or kernel is None:
        return None
    # Where its files are no longer matters: it runs.
    hardware = Hardware(kernel, places.kept(), None, facts.bounce, facts.emulated, facts.counting)
    return Guest(Machine(places.kept(), facts.pid), hardware, facts.sources, facts.step)


def stop() -> bool:
    """End it, whatever state it is in; false where none was running."""
    facts = running()
    stopped = facts is not None and Machine(places.kept(), facts.pid).stop()
    (places.kept() / "guest.json").unlink(missing_ok=True)
    return stopped


@contextlib.contextmanager
def locked(note: Note) -> Iterator[None]:
    """Hold it: nobody else starts one or runs a command in it meanwhile."""
    with places.locked(places.kept() / "lock", note, "is using the lab's guest"):
        yield
