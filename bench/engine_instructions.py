"""What the engine adds to a bare C loop of the same calls, in instructions a message: no noise reaches that count.

Of its one-copy mode by default; --modes names others, whose CPU time bench/engine_modes.py measures.

In a lab guest with one processor whose clock is an instruction counter (QEMU's -icount): the time of a run is the
number of instructions that the whole guest executed in it, kernel and receiver included. A copy counts one instruction
a byte there, on both sides alike, and cancels out. First touches and page faults do, too: what a message takes is the
difference between a long run and a short one, by the messages that the long one sends more.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
from pathlib import Path

from engine_modes import MODES
from engine_speed import SIZES
from loops import compile_plain, plain_command
from rich.console import Console
from rich.table import Table

from tracer.lab import kernels, opening
from tracer.lab.guest import Guest
from tracer.model import Experiment
from tracer.runs import warming
from tracer.runs.in_lab import record

SHORT, LONG = 503, 4003
BUDGET = 300


def quiet(_: str) -> None:
    """No progress."""


def plain_instructions(guest: Guest, program: Path, mode: str, size: int, messages: int) -> float:
    """All that the guest executed from the bare loop's first send to its last byte."""
    output, complaint = bytearray(), bytearray()
    command = plain_command(program, mode, size, messages)
    if guest.run(command, stdout=output.extend, stderr=complaint.extend):
        raise SystemExit(f"the bare loop failed in the lab: {complaint.decode()}")
    return float(output.split()[0])


def engine_instructions(guest: Guest, mode: str, size: int, messages: int) -> float:
    """The same of the engine."""
    experiment = Experiment(mode=mode, size=size, messages=messages, lab=guest.hardware.kernel.name)
    workload = record(experiment, quiet, observed=False, there=guest).workload
    if workload is None:
        raise SystemExit("the pass in the lab was not finished")
    return workload.elapsed_s * 1e9


def a_message(short: list[float], long: list[float]) -> float:
    """Of runs of SHORT and of LONG messages: medians, because what the guest does beside them is in a few of them."""
    return (statistics.median(long) - statistics.median(short)) / (LONG - SHORT)


def measure(guest: Guest, program: Path, mode: str, size: int, repetitions: int) -> tuple[float, float]:
    """Instructions a message of the engine and of the plain loop, which take turns in one guest."""
    engine: dict[int, list[float]] = {SHORT: [], LONG: []}
    plain: dict[int, list[float]] = {SHORT: [], LONG: []}
    for _ in range(repetitions):
        for messages in (SHORT, LONG):
            engine[messages].append(engine_instructions(guest, mode, size, messages))
            plain[messages].append(plain_instructions(guest, program, mode, size, messages))
    return a_message(engine[SHORT], engine[LONG]), a_message(plain[SHORT], plain[LONG])


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--modes", nargs="+", default=["onecopy"], choices=MODES)
    parser.add_argument("--kernel", default=kernels.default(), choices=kernels.names())
    given = parser.parse_args()
    table = Table(title=f"Instructions a message over lo, kernel {given.kernel}: medians of {given.repetitions}")
    for heading in ("mode", "message B", "engine", "plain C", "engine adds"):
        table.add_column(heading, justify="right")
    kept = True
    counting = warming.wanted(given.kernel, counting=True)
    with opening.guest(counting, quiet) as guest, tempfile.TemporaryDirectory() as directory:
        program = compile_plain(Path(directory))
        for mode, size in itertools.product(given.modes, given.sizes):
            engine, plain = measure(guest, program, mode, size, given.repetitions)
            table.add_row(mode, f"{size:,}", f"{engine:,.0f}", f"{plain:,.0f}", f"{engine - plain:,.0f}")
            kept = kept and engine - plain <= BUDGET
    table.caption = f"the engine is to add at most {BUDGET}"
    Console(width=120).print(table)
    return 0 if kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
