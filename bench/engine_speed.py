"""What the engine costs: CPU time a message of its one-copy mode, against a bare C loop of the same calls.

How the contestants take turns, and what is compared: bench/turns.py. The bare loop runs twice: its ratio to itself says
what this machine can tell apart.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from iperf3 import iperf3_run
from loops import compile_plain, engine_run, plain_run
from rich.console import Console
from rich.table import Table
from turns import Sample, Samples, cpu_ns, describe_stall, processor_stall_us, ratio, take_turns

SIZES = (1024, 4096, 16384, 65536)
BUDGET = 1.03
WORK_BYTES, MOST_MESSAGES = 384 << 20, 120_000
ENGINE, PLAIN, AGAIN, IPERF3 = "engine", "plain C", "plain C again", "iperf3"


def measure(program: Path, size: int, repetitions: int) -> Samples:
    """Samples of one message size by contestant, repetition by repetition."""
    messages = min(MOST_MESSAGES, WORK_BYTES // size)
    contestants: dict[str, Callable[[], Sample]] = {
        ENGINE: lambda: engine_run("onecopy", size, messages),
        PLAIN: lambda: plain_run(program, "onecopy", size, messages),
        AGAIN: lambda: plain_run(program, "onecopy", size, messages),
    }
    if shutil.which("iperf3"):
        contestants[IPERF3] = lambda: iperf3_run(size, messages)
    return take_turns(contestants, repetitions)


def rows(size: int, samples: Samples) -> list[str]:
    """One size as the table's cells."""
    cells = [f"{size:,}"]
    cells += [f"{cpu_ns(samples, name) * size:,.0f}" for name in (ENGINE, PLAIN)]
    compared = [
        (ENGINE, PLAIN, "cpu_ns"),
        (AGAIN, PLAIN, "cpu_ns"),
        (ENGINE, PLAIN, "speed"),
        (ENGINE, IPERF3, "speed"),
    ]
    for one, other, of in compared:
        cells.append(str(ratio(samples, one, other, of)) if other in samples else "n/a")
    return cells


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repetitions", type=int, default=61)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    arguments = parser.parse_args()
    title = f"One-copy over loopback, {arguments.repetitions} repetitions; median of the ratios [95 % interval]"
    table = Table(title=title)
    for heading in (
        "message B", "engine CPU ns", "plain C CPU ns", "engine / plain C, CPU", "plain C / itself, CPU",
        "engine / plain C, Gb/s", "engine / iperf3, Gb/s",
    ):  # fmt: skip
        table.add_column(heading, justify="right")
    kept, stall, began = True, processor_stall_us(), time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        program = compile_plain(Path(directory))
        for size in arguments.sizes:
            samples = measure(program, size, arguments.repetitions)
            table.add_row(*rows(size, samples))
            kept = kept and ratio(samples, ENGINE, PLAIN, "cpu_ns").median <= BUDGET
    table.caption = f"CPU time a message is to be at most {BUDGET} of plain C's{describe_stall(stall, began)}"
    Console(width=140).print(table)
    return 0 if kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
