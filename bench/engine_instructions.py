"""What the engine adds to a bare C loop of the same calls, in instructions a message: no noise reaches that count.

In a lab guest with one processor whose clock is an instruction counter (QEMU's -icount): the time of a run is the
number of instructions that the whole guest executed in it, kernel and receiver included. A copy counts one instruction
a byte there, on both sides alike, and cancels out. First touches and page faults do, too: what a message takes is the
difference between a long run and a short one, by the messages that the long one sends more.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

from engine_speed import SIZES, compile_plain
from rich.console import Console
from rich.table import Table

from tracer.lab import kernels
from tracer.lab.guest import Guest, guest_for
from tracer.model import Experiment
from tracer.runs.in_lab import record
from workloads.child.receiver import RECEIVE_BUFFER_BYTES

SHORT, LONG = 503, 4003
BUDGET = 300


def quiet(_: str) -> None:
    """No progress."""


def plain_instructions(guest: Guest, program: Path, size: int, messages: int) -> float:
    """All that the guest executed from the bare loop's first send to its last byte."""
    output, complaint = bytearray(), bytearray()
    command = [str(program), str(size), str(messages), str(RECEIVE_BUFFER_BYTES)]
    if guest.run(command, stdout=output.extend, stderr=complaint.extend, reads=(program,), note=quiet):
        raise SystemExit(f"the bare loop failed in the lab: {complaint.decode()}")
    return float(output.split()[0])


def engine_instructions(kernel: str, size: int, messages: int) -> float:
    """The same of the engine's one-copy mode."""
    experiment = Experiment(mode="onecopy", size=size, messages=messages, lab=kernel)
    workload = record(experiment, quiet, counting=True, observed=False).workload
    if workload is None:
        raise SystemExit("the pass in the lab was not finished")
    return workload.elapsed_s * 1e9


def a_message(instructions: Callable[[int], float]) -> float:
    """Of a run by its number of messages."""
    return (instructions(LONG) - instructions(SHORT)) / (LONG - SHORT)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--kernel", default=kernels.DEFAULT, choices=list(kernels.SUITES))
    given = parser.parse_args()
    guest = dataclasses.replace(guest_for(given.kernel, False, quiet), counting=True)
    table = Table(
        title=f"Instructions a message, one-copy over lo, kernel {given.kernel}: median of {given.repetitions}"
    )
    for heading in ("message B", "engine", "plain C", "engine adds", "range"):
        table.add_column(heading, justify="right")
    kept = True
    with tempfile.TemporaryDirectory() as directory:
        program = compile_plain(Path(directory))
        for size in given.sizes:
            runs = [
                (
                    a_message(lambda messages, size=size: engine_instructions(given.kernel, size, messages)),
                    a_message(lambda messages, size=size: plain_instructions(guest, program, size, messages)),
                )
                for _ in range(given.repetitions)
            ]
            added = [engine - plain for engine, plain in runs]
            medians = [statistics.median(values) for values in (*zip(*runs, strict=True), added)]
            table.add_row(
                f"{size:,}", *(f"{value:,.0f}" for value in medians), f"{min(added):,.0f} to {max(added):,.0f}"
            )
            kept = kept and statistics.median(added) <= BUDGET
    table.caption = f"the engine is to add at most {BUDGET}"
    Console(width=120).print(table)
    return 0 if kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
