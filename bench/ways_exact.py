"""Whether record is right to the byte, run after run, while all processors are busy with something else.

Eight ways to send over IPv4 and IPv6, 20 times each: tests/programs/ways.py says itself what it handed over and took. A
run counts if nettrace says the same of every way, every law of every socket holds, and nothing was lost.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tracer.books.socket_file import decode_sockets
from tracer.books.socket_laws import laws_of
from tracer.model import LawState
from tracer.model.sockets import SEND_WAYS

PROGRAM = Path(__file__).parents[1] / "tests/programs/ways.py"
WAYS = ("send", "sendmsg", "writev", "zerocopy", "zerocopy_ignored", "mixed", "sendfile", "splice")
CALLS, SIZE = 97, 10007


@contextlib.contextmanager
def busy_machine() -> Iterator[None]:
    """A process that never rests on each processor."""
    loads = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for load in loads:
            load.kill()
            load.wait()


def bytes_off(way: str, family: str, directory: Path) -> tuple[int, list[str]]:
    """By how many bytes nettrace and the program differ, over all ways; and what else is wrong."""
    file = directory / "recording.json"
    words = [str(PROGRAM), way, "recv", str(CALLS), str(SIZE), family]
    command = [sys.executable, "-m", "tracer", "record", "-o", str(file), "--", sys.executable, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    said, recording = json.loads(done.stdout), decode_sockets(file.read_bytes(), str(file))
    sent = {one: moved.bytes for one, moved in recording.totals.sent.items()}
    off = sum(abs(sent.get(one, 0) - said.get(one, 0)) for one in SEND_WAYS)
    off += abs(recording.totals.read_bytes - said["read_copy"])
    wrong = [law.id for one in recording.sockets for law in laws_of(one) if law.state is not LawState.HOLDS]
    return off, [*wrong, *(["lost"] if recording.lost else [])]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--times", type=int, default=20)
    times = parser.parse_args().times
    table = Table(title=f"{CALLS} x {SIZE:,} B, {times} times each, all processors busy")
    for heading in ("way", "over IPv", "runs", "bytes off", "laws that do not hold"):
        table.add_column(heading)
    failed = False
    with busy_machine(), tempfile.TemporaryDirectory() as directory:
        for way, family in ((way, family) for way in WAYS for family in ("4", "6")):
            found = [bytes_off(way, family, Path(directory)) for _ in range(times)]
            off, wrong = sum(one for one, _ in found), Counter(name for _, names in found for name in names)
            failed |= bool(off or wrong)
            table.add_row(way, family, f"{len(found)}", f"{off:,}", ", ".join(wrong) or "none")
    Console(width=100).print(table)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
