"""What --html adds to a run of which the screen has been printed, imports included, and how large the page is."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

NETTRACE = str(Path(sys.executable).with_name("nettrace"))
MOST_SECONDS, MOST_BYTES = 0.3, 300 << 10
# A process of its own each time: what is imported once is imported once a command.
ADDED = """
import io, sys, time
from pathlib import Path
from tracer.books.analysis import document_of
from tracer.commands.html import write_run
from tracer.machine.recordings import load
from tracer.reports.tables import make_console
from tracer.reports.terminal import print_document
document = document_of(load(Path(sys.argv[1])))
print_document(document, make_console(io.StringIO()))
began, cpu = time.perf_counter(), time.process_time()
write_run(document, Path(sys.argv[2]), hide=False)
print(time.perf_counter() - began, time.process_time() - cpu)
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=9)
    repetitions = parser.parse_args().repetitions
    with tempfile.TemporaryDirectory() as place:
        recording, page = Path(place, "run.json"), Path(place, "run.html")
        command = [NETTRACE, "run", "zerocopy", "--size", "16384", "--profile", "--counters", "--save", str(recording)]
        subprocess.run(command, check=True, capture_output=True)
        times = [added(recording, page) for _ in range(repetitions + 1)][1:]
        size = page.stat().st_size
    elapsed, cpu = (statistics.median(values) for values in zip(*times, strict=True))
    kept = elapsed <= MOST_SECONDS and size <= MOST_BYTES
    print(f"--html adds {elapsed:.3f} s ({cpu:.3f} s of CPU), medians of {repetitions}; the page has {size:,} B")
    print(f"budget {MOST_SECONDS} s, {MOST_BYTES:,} B: {'kept' if kept else 'MISSED'}")
    return 0 if kept else 1


def added(recording: Path, page: Path) -> tuple[float, float]:
    """Elapsed and CPU time of making the page, s."""
    done = subprocess.run(
        [sys.executable, "-c", ADDED, str(recording), str(page)], check=True, capture_output=True, text=True
    )
    elapsed, cpu = map(float, done.stdout.split())
    return elapsed, cpu


if __name__ == "__main__":
    raise SystemExit(main())
