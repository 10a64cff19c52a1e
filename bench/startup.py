"""How long a user waits, and how much memory that takes: whole commands, as typed, medians of 5."""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

NETTRACE = str(Path(sys.executable).with_name("nettrace"))
MAIN_JOB = ("run", "zerocopy", "--size", "16384")


class Use(NamedTuple):
    """What one command took; memory is its own process's peak, without its children's."""

    elapsed_s: float
    peak_mb: float


class Budget(NamedTuple):
    """What a command may take.

    Args:
        beyond: It is what it may take more than this one, in the same round.
    """

    command: tuple[str, ...]
    quantity: str
    limit: float
    beyond: tuple[str, ...] | None = None

    def value(self, one: dict[tuple[str, ...], Use]) -> float:
        """Of one round."""
        base = getattr(one[self.beyond], self.quantity) if self.beyond else 0.0
        return float(getattr(one[self.command], self.quantity) - base)

    def __str__(self) -> str:
        beyond = f", more than nettrace {' '.join(self.beyond)}" if self.beyond else ""
        return f"nettrace {' '.join(self.command)}{beyond}"


BUDGETS = (
    Budget(MAIN_JOB, "elapsed_s", 2.5),
    Budget(MAIN_JOB, "peak_mb", 150),
    Budget((*MAIN_JOB, "--link", "veth"), "elapsed_s", 2.5),
    Budget((*MAIN_JOB, "--link", "veth"), "peak_mb", 150),
    Budget(("--help",), "elapsed_s", 0.15),
    Budget(("explain", *MAIN_JOB[1:]), "elapsed_s", 0.2, beyond=MAIN_JOB),
)
UNITS = {"elapsed_s": "s", "peak_mb": "MB"}


def use_of(command: tuple[str, ...]) -> Use:
    """Run it, its output thrown away."""
    null = os.open(os.devnull, os.O_WRONLY)
    began = time.monotonic()
    pid = os.posix_spawn(
        NETTRACE, [NETTRACE, *command], dict(os.environ),
        file_actions=[(os.POSIX_SPAWN_DUP2, null, 1), (os.POSIX_SPAWN_DUP2, null, 2)],
    )  # fmt: skip
    # wait4() reports this very process, not the largest of its children (getrusage(2)).
    _, status, usage = os.wait4(pid, 0)
    elapsed_s = time.monotonic() - began
    os.close(null)
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"nettrace {' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
    return Use(elapsed_s, usage.ru_maxrss / 1000)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=5)
    repetitions = parser.parse_args().repetitions
    commands = dict.fromkeys(budget.command for budget in BUDGETS)
    # In turns, so that a slow moment of the machine does not hit one command alone; the first fills the caches.
    rounds = [{command: use_of(command) for command in commands} for _ in range(repetitions + 1)][1:]
    table = Table(title=f"Whole commands, medians of {repetitions}")
    for heading in ("command", "quantity", "median", "worst", "budget", "kept"):
        table.add_column(heading, justify="left" if heading in ("command", "quantity") else "right")
    kept = True
    for budget in BUDGETS:
        values = [budget.value(one) for one in rounds]
        median, unit = statistics.median(values), UNITS[budget.quantity]
        kept = kept and median <= budget.limit
        name = "start to end" if unit == "s" else "peak memory"
        numbers = (f"{median:.3g} {unit}", f"{max(values):.3g} {unit}", f"{budget.limit:g} {unit}")
        table.add_row(str(budget), name, *numbers, "yes" if median <= budget.limit else "NO")
    Console(width=100).print(table)
    return 0 if kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
