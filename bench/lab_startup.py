"""How long a user of the lab waits: whole commands, medians of 5, each in a fresh guest from a snapshot."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from tracer.lab import kernels, snapshots

RUN = ("run", "zerocopy", "--size", "16384")


class Budget(NamedTuple):
    """A command and its seconds."""

    arguments: tuple[str, ...]
    limit_s: float


BUDGETS = (
    Budget((*RUN, "--link", "lo"), 2.5),
    Budget((*RUN, "--link", "nic"), 2.5),
    Budget((*RUN, "--link", "veth"), 2.8),
    Budget((*RUN, "--observer", "tracepoints"), 1.8),
    Budget(("lab", "exec"), 0.8),
)


def command_of(budget: Budget, kernel: str) -> list[str]:
    """As a user types it, under this interpreter."""
    nettrace = [sys.executable, "-m", "tracer", *budget.arguments]
    return (
        [*nettrace, "--kernel", kernel, "--", "true"] if budget.arguments[0] == "lab" else [*nettrace, "--lab", kernel]
    )


def seconds(command: list[str]) -> float:
    """Run it, its output thrown away."""
    began = time.monotonic()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return time.monotonic() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--kernel", default=kernels.default(), choices=kernels.names())
    given = parser.parse_args()
    subprocess.run([sys.executable, "-m", "tracer", "lab", "warm", given.kernel], check=True)
    rounds = [[seconds(command_of(one, given.kernel)) for one in BUDGETS] for _ in range(given.repetitions + 1)][1:]
    table = Table(title=f"The lab's kernel {given.kernel}, whole commands, medians of {given.repetitions}")
    for heading in ("command", "median", "worst", "budget", "kept"):
        table.add_column(heading, justify="left" if heading == "command" else "right")
    kept = True
    for budget, times in zip(BUDGETS, zip(*rounds, strict=True), strict=True):
        median = statistics.median(times)
        kept = kept and median <= budget.limit_s
        figures = (f"{median:.2f} s", f"{max(times):.2f} s", f"{budget.limit_s:g} s")
        table.add_row(" ".join(budget.arguments), *figures, "yes" if median <= budget.limit_s else "NO")
    console = Console(width=100)
    console.print(table)
    for one in snapshots.everything():
        console.print(f"snapshot {one.directory.name}: {one.size() / 1e6:.0f} MB on disk")
    return 0 if kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
