"""What the engine costs: CPU time a message of its one-copy mode, against a bare C loop of the same calls.

Every repetition runs all contestants, one right after the other and in shuffled order, on one connection over loopback,
with fixed work; ratios are taken within a repetition, so that a slow moment of the machine hits both sides. CPU time
is that of the sending and the receiving thread, by their own clocks (CLOCK_THREAD_CPUTIME_ID), and decides. Wall time
is shown and decides nothing: on two busy cores it is noise. Nothing is pinned to a CPU; every process is in a session
of its own, as the engine's are, because the scheduler shares a busy CPU between sessions (autogroup). Each run of each
contestant has processes of its own: which pages its buffers lie in, hence how they share the caches, is luck that must
not last for all repetitions. The bare loop runs twice: its ratio to itself says what this machine can tell apart.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy
from rich.console import Console
from rich.table import Table
from scipy.stats import bootstrap

from tracer.machine.processes import Workers
from tracer.model import Experiment
from workloads.child.receiver import RECEIVE_BUFFER_BYTES

SIZES = (1024, 4096, 16384, 65536)
BUDGET = 1.03
WORK_BYTES, MOST_MESSAGES = 384 << 20, 120_000
ENGINE, PLAIN, AGAIN, IPERF3 = "engine", "plain C", "plain C again", "iperf3"


class Sample(NamedTuple):
    """One run: CPU time of both threads for a message, ns (NaN where unknown), and Gb/s."""

    cpu_ns: float
    speed: float


Samples = dict[str, list[Sample]]


def compile_plain(directory: Path) -> Path:
    """The bare loop, with the engine's own flags."""
    program = directory / "plain_sender"
    source = Path(__file__).with_name("plain_sender.c")
    flags = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(["gcc", *flags, "-o", str(program), str(source)], check=True)
    return program


def plain_run(program: Path, size: int, messages: int) -> Sample:
    """The bare loop."""
    command = [str(program), str(size), str(messages), str(RECEIVE_BUFFER_BYTES)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, start_new_session=True)
    elapsed_ns, *cpu_ns = map(int, done.stdout.split())
    return Sample(sum(cpu_ns) / messages, size * messages * 8 / elapsed_ns)


def engine_run(size: int, messages: int) -> Sample:
    """One pass through the real processes, which are started for it, as the bare loop's are."""
    with Workers(Experiment(mode="onecopy", size=size), address="127.0.0.1") as workers:
        workers.prepare(messages, None)
        workers.release()
        done = workers.collect()
    sender, receiver = done.sender_cpu_ns.spent, done.receiver_cpu_ns and done.receiver_cpu_ns.spent
    if sender is None or receiver is None:
        raise SystemExit("the engine did not tell its CPU time")
    return Sample((sender + receiver) / done.messages, done.throughput_bytes_per_s * 8 / 1e9)


def iperf3_run(size: int, messages: int) -> Sample:
    """What iperf3's receiver saw."""
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
    return Sample(math.nan, float(json.loads(done.stdout)["end"]["sum_received"]["bits_per_second"]) / 1e9)


def measure(program: Path, size: int, repetitions: int) -> Samples:
    """Samples of one message size by contestant, repetition by repetition."""
    messages = min(MOST_MESSAGES, WORK_BYTES // size)
    contestants: dict[str, Callable[[], Sample]] = {
        ENGINE: lambda: engine_run(size, messages),
        PLAIN: lambda: plain_run(program, size, messages),
        AGAIN: lambda: plain_run(program, size, messages),
    }
    if shutil.which("iperf3"):
        contestants[IPERF3] = lambda: iperf3_run(size, messages)
    samples: Samples = {name: [] for name in contestants}
    for repetition in range(repetitions + 1):
        # Not in turns: then each would always follow the same one, in the caches and free pages that it leaves behind.
        for name in random.Random(repetition).sample(sorted(contestants), len(contestants)):
            samples[name].append(contestants[name]())
    # The first repetition warms caches and the CPU's clock.
    return {name: values[1:] for name, values in samples.items()}


def ratio(samples: Samples, one: str, other: str, of: str) -> tuple[float, float, float]:
    """Median of one / other within a repetition, and its 95 % bootstrap interval."""
    ratios = numpy.array([getattr(a, of) / getattr(b, of) for a, b in zip(samples[one], samples[other], strict=True)])
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


def rows(size: int, samples: Samples) -> list[str]:
    """One size as the table's cells."""
    cells = [f"{size:,}"]
    cells += [f"{numpy.median([one.cpu_ns for one in samples[name]]):,.0f}" for name in (ENGINE, PLAIN)]
    compared = [
        (ENGINE, PLAIN, "cpu_ns"),
        (AGAIN, PLAIN, "cpu_ns"),
        (ENGINE, PLAIN, "speed"),
        (ENGINE, IPERF3, "speed"),
    ]
    for one, other, of in compared:
        if other in samples:
            median, low, high = ratio(samples, one, other, of)
            cells.append(f"{median:.3f} [{low:.3f}, {high:.3f}]")
        else:
            cells.append("n/a")
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
            kept = kept and ratio(samples, ENGINE, PLAIN, "cpu_ns")[0] <= BUDGET
    table.caption = f"CPU time a message is to be at most {BUDGET} of plain C's{describe_stall(stall, began)}"
    Console(width=140).print(table)
    return 0 if kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
