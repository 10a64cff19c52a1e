"""Throughput of the engine's one-copy mode against a bare C loop of the same calls, and against iperf3.

Every repetition runs all of them, one right after the other and in turning order, on one connection over loopback, with
fixed work of some 0.3 s each; ratios are taken within a repetition, so that a slow moment of the machine hits both
sides. Nothing is pinned to a CPU; every process is in a session of its own, as the engine's are, because the scheduler
shares a busy CPU between sessions (autogroup). Prints medians, and the ratios' medians with 95 % bootstrap intervals;
and how much other work the machine did meanwhile, because with two busy cores and a third process the ratios are noise:
the bare loop against itself then has 0.95 as easily as 1.05.
"""

from __future__ import annotations

import argparse
import json
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy
from rich.console import Console
from rich.table import Table
from scipy.stats import bootstrap

from tracer.machine.processes import Workers
from tracer.model import Experiment
from workloads.child.crew import RECEIVE_BUFFER_BYTES

SIZES = (1024, 4096, 16384, 65536)
TARGET = 0.97
WORK_BYTES, MOST_MESSAGES = 384 << 20, 120_000
Speeds = dict[str, list[float]]


def compile_plain(directory: Path) -> Path:
    """The bare loop, with the engine's own flags."""
    program = directory / "plain_sender"
    source = Path(__file__).with_name("plain_sender.c")
    flags = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(["gcc", *flags, "-o", str(program), str(source)], check=True)
    return program


def plain_speed(program: Path, size: int, messages: int) -> float:
    """Gb/s of the bare loop."""
    command = [str(program), str(size), str(messages), str(RECEIVE_BUFFER_BYTES)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, start_new_session=True)
    return size * messages * 8 / int(done.stdout)


def iperf3_speed(size: int, messages: int) -> float:
    """Gb/s that iperf3's receiver saw."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = str(probe.getsockname()[1])
    server = ["iperf3", "-s", "-1", "-p", port, "-B", "127.0.0.1", "--forceflush"]
    with subprocess.Popen(
        server, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    ) as listening:
        assert listening.stdout is not None
        while "listening" not in listening.stdout.readline():
            pass
        client = ["iperf3", "-c", "127.0.0.1", "-p", port, "-l", str(size), "-n", str(size * messages), "-J"]
        done = subprocess.run(client, check=True, capture_output=True, text=True, start_new_session=True)
        listening.communicate()
    return float(json.loads(done.stdout)["end"]["sum_received"]["bits_per_second"]) / 1e9


def engine_speed(workers: Workers, messages: int) -> float:
    """Gb/s of one pass through the real processes."""
    workers.prepare(messages, None)
    workers.release()
    return workers.collect().throughput_bytes_per_s * 8 / 1e9


def measure(program: Path, size: int, repetitions: int) -> Speeds:
    """Speeds of one message size by contestant, repetition by repetition."""
    messages = min(MOST_MESSAGES, WORK_BYTES // size)
    with Workers(Experiment(mode="onecopy", size=size), address="127.0.0.1") as workers:
        contestants: dict[str, Callable[[], float]] = {
            "engine": lambda: engine_speed(workers, messages),
            "plain C": lambda: plain_speed(program, size, messages),
        }
        if shutil.which("iperf3"):
            contestants["iperf3"] = lambda: iperf3_speed(size, messages)
        speeds: Speeds = {name: [] for name in contestants}
        for repetition in range(repetitions + 1):
            order = list(contestants)
            turn = repetition % len(order)
            for name in order[turn:] + order[:turn]:
                speeds[name].append(contestants[name]())
    # The first repetition warms caches and the CPU's clock.
    return {name: values[1:] for name, values in speeds.items()}


def ratio_with_interval(speeds: Speeds, other: str) -> tuple[float, float, float]:
    """Median of engine / other, and its 95 % bootstrap interval."""
    ratios = numpy.array(speeds["engine"]) / numpy.array(speeds[other])
    interval = bootstrap((ratios,), numpy.median, method="percentile", rng=0).confidence_interval
    return float(numpy.median(ratios)), float(interval.low), float(interval.high)


def processor_stall_us() -> int | None:
    """Time so far in which some task waited for a CPU (PSI, Linux 4.20); None where the kernel does not count it."""
    try:
        return int(Path("/proc/pressure/cpu").read_text().split("total=")[1].split()[0])
    except (OSError, IndexError):
        return None


def describe_stall(before: int | None, began: float) -> str:
    """How busy the machine was since then, in words."""
    after = processor_stall_us()
    if before is None or after is None:
        return ""
    share = (after - before) / 1e6 / (time.monotonic() - began)
    return f"; a task was waiting for a CPU {share:.0%} of the time"


def rows(size: int, speeds: Speeds) -> list[str]:
    """One size as the table's cells."""
    cells = [f"{size:,}"]
    for name in ("engine", "plain C", "iperf3"):
        cells.append(f"{numpy.median(speeds[name]):.2f}" if name in speeds else "n/a")
    for other in ("plain C", "iperf3"):
        if other in speeds:
            ratio, low, high = ratio_with_interval(speeds, other)
            cells.append(f"{ratio:.3f} [{low:.3f}, {high:.3f}]")
        else:
            cells.append("n/a")
    return cells


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repetitions", type=int, default=21)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    arguments = parser.parse_args()
    title = f"One-copy over loopback, {arguments.repetitions} paired repetitions, median Gb/s"
    table = Table(title=title)
    for heading in ("message B", "engine", "plain C", "iperf3", "engine / plain C", "engine / iperf3"):
        table.add_column(heading, justify="right")
    reached, stall, began = True, processor_stall_us(), time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        program = compile_plain(Path(directory))
        for size in arguments.sizes:
            speeds = measure(program, size, arguments.repetitions)
            table.add_row(*rows(size, speeds))
            reached = reached and ratio_with_interval(speeds, "plain C")[0] >= TARGET
    table.caption = f"engine / plain C is to be at least {TARGET}{describe_stall(stall, began)}"
    Console().print(table)
    return 0 if reached else 1


if __name__ == "__main__":
    raise SystemExit(main())
