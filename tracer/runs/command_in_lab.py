"""Records a command under another kernel: the same verb in the lab's guest, which sees this machine's files."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable
from pathlib import Path

from tracer.errors import LabError
from tracer.lab import kernels
from tracer.lab.guest import Guest, guest_for, least_environment

_HOME = Path(__file__).resolve().parents[2]


def record_in_lab(
    kernel: str | None, options: list[str], argv: list[str], wants: tuple[bool, bool], note: Callable[[str], None]
) -> tuple[int, bytes | None, bytes | None]:
    """Run it in the guest as its root, its output and the report passed on as they come.

    Args:
        options: Of the verb, but for those that name files.
        wants: Whether the recording, and whether its JSON document, is asked for.

    Returns:
        The guest's exit code (128 + N after signal N), the recording, and the JSON document; None of what was not
        asked for or not made.

    Raises:
        LabError: the guest did not start, hung, panicked or was killed.
    """
    guest = guest_for(kernel or kernels.DEFAULT, False, note)
    # Named by this process: a warm guest still has what others wrote.
    paths = [f"/tmp/nettrace-{os.getpid()}-{name}.json" for name in ("recording", "document")]
    asked = [pair for pair, wanted in zip(zip(("-o", "--json"), paths, strict=True), wants, strict=True) if wanted]
    status = guest.run(
        [sys.executable, "-P", "-s", "-m", "tracer", "record", *options, *itertools.chain(*asked), "--", *argv],
        cwd=Path.cwd(),
        env={**least_environment(), "PYTHONPATH": str(_HOME)},
        stdout=_writer(sys.stdout.fileno()),
        stderr=_writer(sys.stderr.fileno()),
        note=note,
    )
    saved, document = (_fetched(guest, path) if wanted else None for path, wanted in zip(paths, wants, strict=True))
    return status, saved, document


def _fetched(guest: Guest, path: str) -> bytes | None:
    """A file of the guest; None where nothing was recorded, which the guest has said why."""
    try:
        return guest.read_file(path)
    except LabError:
        return None


def _writer(descriptor: int) -> Callable[[bytes], None]:
    def write(data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]

    return write
