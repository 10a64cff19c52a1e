"""What the engine's loop costs in each mode: CPU time a message, against a bare C loop of the same calls.

How the contestants take turns, and what is compared: bench/turns.py. A bare loop has as many messages in its memory as
the engine, sends as many, waits for the same notifications, and of datagrams for the same word of its receiver.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from loops import UNWRITTEN, compile_plain, engine_run, plain_run
from rich.console import Console
from rich.table import Table
from turns import Samples, cpu_ns, describe_stall, processor_stall_us, ratio, take_turns

from tracer.books.modes import NAMES

MODES = tuple(name for name in NAMES if name not in UNWRITTEN)
SIZES = (1024, 16384)
BUDGET = 1.05
WORK_BYTES, MOST_MESSAGES = 192 << 20, 60_000
ENGINE, PLAIN, AGAIN = "engine", "plain C", "plain C again"


def measure(program: Path, mode: str, size: int, repetitions: int) -> Samples:
    """Samples of one mode and message size, repetition by repetition."""
    messages = min(MOST_MESSAGES, WORK_BYTES // size)
    contestants = {
        ENGINE: lambda: engine_run(mode, size, messages),
        PLAIN: lambda: plain_run(program, mode, size, messages),
        AGAIN: lambda: plain_run(program, mode, size, messages),
    }
    return take_turns(contestants, repetitions)


def add_row(table: Table, mode: str, size: int, samples: Samples) -> bool:
    """Whether the budget was kept."""
    found = ratio(samples, ENGINE, PLAIN, "cpu_ns")
    cells = [f"{cpu_ns(samples, name) * size:,.0f}" for name in (ENGINE, PLAIN)]
    kept = found.median <= BUDGET
    table.add_row(
        mode, f"{size:,}", *cells, str(found), str(ratio(samples, AGAIN, PLAIN, "cpu_ns")), "yes" if kept else "NO"
    )
    return kept


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=25)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--modes", nargs="+", default=MODES, choices=MODES)
    given = parser.parse_args()
    table = Table(
        title=f"Each mode over loopback, {given.repetitions} repetitions; median of the ratios [95 % interval]"
    )
    for heading in (
        "mode",
        "message B",
        "engine CPU ns",
        "plain C CPU ns",
        "engine / plain C",
        "plain C / itself",
        "kept",
    ):
        table.add_column(heading, justify="left" if heading == "mode" else "right")
    kept, stall, began = True, processor_stall_us(), time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        program = compile_plain(Path(directory))
        for mode in given.modes:
            for size in given.sizes:
                kept &= add_row(table, mode, size, measure(program, mode, size, given.repetitions))
    table.caption = f"CPU time a message is to be at most {BUDGET} of plain C's{describe_stall(stall, began)}"
    Console(width=130).print(table)
    return 0 if kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
