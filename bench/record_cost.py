"""What `nettrace record` costs a program: CPU time of both ends, watched, by that of both ends unwatched.

The same fixed work is done bare, watched by nettrace, and watched by bench/record_cost.bt, in turning order; the ratio
is taken within a repetition. CPU time is the cgroup's own count (cpu.stat): all processes, softirqs in their context
among it. Prints the ratios' medians with 95 % bootstrap intervals. bpftrace stands beside nettrace because it is what
one would write by hand: nettrace must be cheaper, by the upper end of its interval.

Of long writes the ratio cannot tell the two apart: work that is watched has been seen to take less CPU time than bare
work, so it is no price of watching alone. What is compared is the time of the programs themselves, which the kernel
counts (BPF_ENABLE_STATS) in repetitions of their own, because to count it costs too.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy
from overhead import Times, bpftrace_attached, ratio_with_interval, shown
from rich.console import Console
from rich.table import Table

from tracer.machine.cgroups import open_cgroup
from tracer.machine.kernel.libbpf import libbpf
from tracer.observers.program_info import run_times
from tracer.observers.sockets import SocketObserver

PROGRAM_REPETITIONS = 7
SCRIPT = Path(__file__).with_name("record_cost.bt")


class Work(NamedTuple):
    """A server, a client that ends by itself, and what watching both may cost; PORT stands for a free port.

    Args:
        turns: In a repetition, each contestant does it so many times in turn: where it costs next to nothing, how busy
            this machine's neighbours are says more than who watches, and that changes within seconds.
    """

    name: str
    server: tuple[str, ...]
    client: tuple[str, ...]
    budget: float
    turns: int = 1


def iperf3(name: str, budget: float, *options: str, turns: int = 1) -> Work:
    client = ("iperf3", "-c", "127.0.0.1", "-p", "PORT", *options)
    return Work(name, ("iperf3", "-s", "-1", "-p", "PORT"), client, budget, turns)


REDIS = ("redis-server", "--port", "PORT", "--save", "", "--appendonly", "no", "--dir", "/tmp")
BENCHMARK = ("redis-benchmark", "-p", "PORT", "-t", "set,get", "-n", "40000", "-c", "20", "-d", "1009", "-q")
WORKS = (
    iperf3("iperf3, 128 KiB writes", 1.03, "-n", "768M", turns=4),
    iperf3("iperf3, 1,009 B writes", 1.18, "-l", "1009", "-n", "150M"),
    Work("redis-benchmark", REDIS, BENCHMARK, 1.15),
)


def listens(port: int) -> bool:
    """Whether somebody listens on this port, of any family; asked without a connection."""
    lines = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()]
    return any(line[1].endswith(f":{port:04X}") and line[3] == "0A" for line in lines)


def cpu_us(cgroup: Path) -> int:
    return int((cgroup / "cpu.stat").read_text().split()[1])


@contextlib.contextmanager
def bare(_cgroup: Path) -> Iterator[None]:
    yield


@contextlib.contextmanager
def by_nettrace(cgroup: Path) -> Iterator[None]:
    """As `nettrace record` watches: with its own thread, which is not in the cgroup."""
    observer = SocketObserver()
    try:
        observer.attach(cgroup)
        yield
        if observer.finish().lost:
            raise RuntimeError("rows were lost")
    finally:
        observer.close()


def by_bpftrace(_cgroup: Path) -> contextlib.AbstractContextManager[None]:
    return bpftrace_attached(SCRIPT)


Contestant = Callable[[Path], contextlib.AbstractContextManager[None]]


def spent_us(work: Work, watched: Contestant) -> int:
    """CPU time of the work, once, in a cgroup of its own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    with open_cgroup() as cgroup, watched(cgroup):

        def start(command: tuple[str, ...]) -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                [part.replace("PORT", port) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                preexec_fn=lambda: (cgroup / "cgroup.procs").write_text(str(os.getpid())),
            )  # fmt: skip

        server = start(work.server)
        try:
            while not listens(int(port)):
                if server.poll() is not None:
                    raise RuntimeError(f"{work.server[0]} ended with {server.returncode}")
            before = cpu_us(cgroup)
            if start(work.client).wait():
                raise RuntimeError(f"{work.client[0]} failed")
            return cpu_us(cgroup) - before
        finally:
            server.terminate()
            server.wait()


def contestants() -> dict[str, Contestant]:
    """Those that this machine has."""
    found: dict[str, Contestant] = {"bare": bare, "nettrace": by_nettrace}
    return found | {"bpftrace": by_bpftrace} if shutil.which("bpftrace") else found


def measure(work: Work, pairs: int, contestants: dict[str, Contestant]) -> Times:
    """CPU time by contestant, repetition by repetition; the first one, which warms up, left out."""
    times: Times = {name: [] for name in contestants}
    for repetition in range(pairs + 1):
        spent = dict.fromkeys(contestants, 0)
        for turn in range(work.turns):
            for name in rotated(list(contestants), repetition + turn):
                spent[name] += spent_us(work, contestants[name])
        for name, whole in spent.items():
            times[name].append(whole)
    return {name: values[1:] for name, values in times.items()}


def rotated(names: list[str], by: int) -> list[str]:
    at = by % len(names)
    return names[at:] + names[:at]


class Programs(NamedTuple):
    """Time of a contestant's programs in one repetition each, ms; empty where it is not on this machine."""

    nettrace: list[float]
    bpftrace: list[float]

    @property
    def cheaper(self) -> bool | None:
        """nettrace's longest against bpftrace's shortest; None without bpftrace."""
        return max(self.nettrace) < min(self.bpftrace) if self.bpftrace else None


def measure_programs(work: Work, contestants: dict[str, Contestant]) -> Programs:
    spent: Times = {"nettrace": [], "bpftrace": []}
    for repetition in range(PROGRAM_REPETITIONS):
        for name in rotated([name for name in spent if name in contestants], repetition):
            spent[name].append(programs_ms(work, contestants[name]))
    return Programs(**spent)


def programs_ms(work: Work, contestant: Contestant) -> float:
    """Time that the kernel counts in the programs that come with a contestant."""
    found: list[float] = []

    @contextlib.contextmanager
    def counted(cgroup: Path) -> Iterator[None]:
        there = loaded_programs()
        with contestant(cgroup), contextlib.ExitStack() as counting:
            counting.callback(os.close, libbpf().bpf_enable_stats(0))
            yield
            found.append(sum(map(spent_ns, loaded_programs() - there)) / 1e6)

    spent_us(work, counted)
    return found[0]


def loaded_programs() -> set[int]:
    """Ids of all programs of this machine."""
    ids, last = set(), ctypes.c_uint32(0)
    while not libbpf().bpf_prog_get_next_id(last.value, ctypes.byref(last)):
        ids.add(last.value)
    return ids


def spent_ns(program: int) -> int:
    descriptor = int(libbpf().bpf_prog_get_fd_by_id(program))
    if descriptor < 0:
        return 0
    try:
        return run_times([descriptor])[1]
    finally:
        os.close(descriptor)


def span(figures: list[float]) -> str:
    """Median, least and most."""
    return f"{numpy.median(figures):.1f} [{min(figures):.1f}, {max(figures):.1f}]" if figures else "n/a"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=int, default=25)
    parser.add_argument("--work", choices=[work.name for work in WORKS], help="one of them; all by default")
    arguments = parser.parse_args()
    table = Table(title=f"CPU time, watched / bare, both ends watched, {arguments.pairs} repetitions")
    programs = "ms of programs: nettrace, bpftrace"
    for heading in ("work", "bare ms", "nettrace / bare", "budget", "kept", "bpftrace / bare", programs, "cheaper"):
        table.add_column(heading, justify="left" if heading == "work" else "right")
    kept = True
    for work in WORKS:
        if arguments.work not in (None, work.name):
            continue
        times, programs_of = measure(work, arguments.pairs, contestants()), measure_programs(work, contestants())
        within, cheaper = ratio_with_interval(times, "nettrace")[0] <= work.budget, programs_of.cheaper
        kept = kept and within and cheaper is not False
        bare_ms = f"{float(numpy.median(times['bare'])) / 1000:.0f}"
        words = {True: "yes", False: "NO", None: "n/a"}
        cells = (f"{work.budget:.2f}", words[within], shown(times, "bpftrace"), ", ".join(map(span, programs_of)))
        table.add_row(work.name, bare_ms, shown(times, "nettrace"), *cells, words[cheaper])
    Console(width=150).print(table)
    return 0 if kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
