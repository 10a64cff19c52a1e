"""How soon `nettrace record` starts a command, and how it stands up to many sockets.

First instruction: from nettrace's start to the command's own clock, with the cache of compiled programs and without.
Many: connections of 7 bytes, as fast as they come; no row may be lost; the file and its report have budgets.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from figures import Figure, show

NETTRACE = (sys.executable, "-m", "tracer")
CONNECTIONS, LISTED_CONNECTIONS = 30_000, 15_000


def first_instruction_s(cache: Path | None) -> float:
    """Until the command looks at the clock."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)} if cache else dict(os.environ)
    begin = time.time()
    done = subprocess.run(
        [*NETTRACE, "record", "--", "date", "+%s.%N"],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    return float(done.stdout) - begin


def starts(repetitions: int) -> list[Figure]:
    warm = [first_instruction_s(None) for _ in range(repetitions + 1)][1:]
    cold = []
    for _ in range(repetitions):
        with tempfile.TemporaryDirectory() as directory:
            cold.append(first_instruction_s(Path(directory)))
    return [
        Figure("first instruction", statistics.median(warm), 0.7, "s"),
        Figure("first instruction, nothing cached", statistics.median(cold), 1.2, "s"),
    ]


def record_many(program: Path, connections: int, file: Path) -> tuple[float, int]:
    """Seconds that the connections took, and rows lost."""
    command = [*NETTRACE, "record", "-o", str(file), "--", str(program), str(connections)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    recording = json.loads(file.read_bytes())
    found = len(recording["sockets"]) + recording["unlisted_sockets"]
    # Each end is a socket; the listeners carry no byte and have no row.
    if found + recording["lost"] != 2 * connections or recording["totals"]["sent"]["copy"]["bytes"] != 7 * connections:
        raise SystemExit(f"{found:,} sockets of {2 * connections:,}, {recording['totals']['sent']}")
    return float(done.stdout), recording["lost"]


def many(directory: Path) -> list[Figure]:
    program, file = directory / "short_connections", directory / "many.json"
    source = Path(__file__).with_name("short_connections.c")
    subprocess.run(["gcc", "-O2", "-Wall", "-pthread", "-o", program, source], check=True)
    took_s, lost = record_many(program, CONNECTIONS, file)
    record_many(program, LISTED_CONNECTIONS, file)
    begin = time.monotonic()
    subprocess.run([*NETTRACE, "report", str(file)], stdout=subprocess.DEVNULL, check=True)
    report_s = time.monotonic() - begin
    return [
        Figure(f"{CONNECTIONS:,} connections, watched", took_s, 2.0, "s"),
        Figure("  rows lost of them", lost, 0, ""),
        Figure(f"report of {2 * LISTED_CONNECTIONS:,} sockets", report_s, 2.0, "s"),
        Figure("  their file", file.stat().st_size / 1e6, 12, "MB"),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=5)
    with tempfile.TemporaryDirectory() as directory:
        figures = starts(parser.parse_args().repetitions) + many(Path(directory))
    return show("nettrace record", figures)


if __name__ == "__main__":
    raise SystemExit(main())
