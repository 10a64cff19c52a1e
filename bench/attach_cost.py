"""What `nettrace attach` costs programs that it does not watch: their CPU time, by that without nettrace.

An idle process is attached to, as the command does it, while a server and its client work beside it; the same work is
done without, in turns, and the ratio is taken within a repetition. CPU time is that of their cgroup, as in
bench/record_cost.py. Prints the ratios' medians with 95 % bootstrap intervals.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy
from overhead import ratio_with_interval, shown
from record_cost import WORKS, bare, measure
from rich.console import Console
from rich.table import Table

from tracer.machine.leftovers import cgroup2_mount
from tracer.observers.attached import OF_PROCESSES, Attachment, no_cgroup
from tracer.observers.sockets import SocketObserver

BUDGETS = {"iperf3, 128 KiB writes": 1.03, "iperf3, 1,009 B writes": 1.12, "redis-benchmark": 1.10}
# A process with a connection, that waits.
IDLE = "import socket, sys; l = socket.create_server(('127.0.0.1', 0)); a = socket.create_connection(l.getsockname()); "
IDLE += "b = l.accept()[0]; print(flush=True); sys.stdin.read()"


@contextlib.contextmanager
def beside(_cgroup: Path) -> Iterator[None]:
    """nettrace watches somebody else."""
    root = cgroup2_mount()
    if root is None:
        raise RuntimeError("no cgroup2 hierarchy is mounted")
    command = [sys.executable, "-c", IDLE]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other,
        contextlib.closing(SocketObserver(plan=OF_PROCESSES, elements=no_cgroup())) as observer,
    ):
        other.stdout.readline()
        observer.attach(root)
        attachment = Attachment(observer, None, children=True)
        if attachment.begin([other.pid]) != 2:
            raise RuntimeError("the process that is watched has two connections")
        yield
        attachment.end()
        other.stdin.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=int, default=25)
    parser.add_argument("--work", choices=list(BUDGETS), help="one of them; all by default")
    arguments = parser.parse_args()
    table = Table(title=f"CPU time of work that is not watched, under attach / bare, {arguments.pairs} repetitions")
    for heading in ("work", "bare ms", "attach / bare", "budget", "kept"):
        table.add_column(heading, justify="left" if heading == "work" else "right")
    kept = True
    for work in WORKS:
        if arguments.work in (None, work.name):
            times, budget = measure(work, arguments.pairs, {"bare": bare, "attach": beside}), BUDGETS[work.name]
            within = ratio_with_interval(times, "attach")[0] <= budget
            bare_ms = f"{float(numpy.median(times['bare'])) / 1000:.0f}"
            table.add_row(work.name, bare_ms, shown(times, "attach"), f"{budget:.2f}", "yes" if within else "NO")
            kept = kept and within
    Console(width=100).print(table)
    return 0 if kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
