"""What watching costs: time of an observed pass by that of a bare one, the same fixed work, over loopback.

Every repetition does the work bare, observed by nettrace, and observed by bench/tracepoints.bt, in turning order, with
the same sender and receiver processes; ratios are taken within a repetition. Prints the ratios' medians with 95 %
bootstrap intervals. The budget is for nettrace's observer; bpftrace stands beside it because it counts the same.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy
from rich.console import Console
from rich.table import Table
from scipy.stats import bootstrap

from tracer.machine.cgroups import open_cgroup
from tracer.machine.namespaces import netns_inode
from tracer.machine.processes import Workers
from tracer.model import Experiment
from tracer.observers.flow import Flow
from tracer.observers.tracepoints import TracepointObserver

BUDGETS = {1024: 1.15, 16384: 1.10}
MODES = ("onecopy", "zerocopy")
WORK_BYTES, MOST_MESSAGES = 384 << 20, 60_000
SCRIPT = Path(__file__).with_name("tracepoints.bt")
# bpftrace finds ordinary tracepoints in tracefs, which need not be mounted; a mount namespace keeps that to itself.
WITH_TRACEFS = (
    "mount -t tracefs none /sys/kernel/tracing 2>/dev/null; mount -t debugfs none /sys/kernel/debug 2>/dev/null; "
    'exec bpftrace "$@"'
)
Times = dict[str, list[float]]


@contextlib.contextmanager
def bpftrace_attached(script: Path, *arguments: object) -> Iterator[None]:
    """The script counts during the block; it says "attached" when it does."""
    command = ["unshare", "-m", "sh", "-c", WITH_TRACEFS, "sh", str(script), *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        if not any(line.startswith("attached") for line in process.stdout):
            raise RuntimeError(f"bpftrace: {process.communicate()[1]}")
        try:
            yield
        finally:
            _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    """By SIGINT, again if need be: bpftrace has been seen to lose one."""
    for _ in range(5):
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=3)
            return
    process.kill()
    process.communicate()


@contextlib.contextmanager
def observer_attached(observer: TracepointObserver) -> Iterator[None]:
    """The observer of nettrace counts during the block."""
    observer.attach()
    try:
        yield
    finally:
        observer.detach()


def elapsed_s(workers: Workers, messages: int) -> float:
    """One pass of the fixed work."""
    workers.prepare(messages, None)
    workers.release()
    return workers.collect().elapsed_s


def measure(mode: str, size: int, repetitions: int) -> Times:
    """Seconds by contestant, repetition by repetition."""
    messages = min(MOST_MESSAGES, WORK_BYTES // size)
    own = netns_inode(None)
    with contextlib.ExitStack() as stack:
        cgroup = stack.enter_context(open_cgroup())
        workers = stack.enter_context(Workers(Experiment(mode=mode, size=size), address="127.0.0.1", cgroup=cgroup))
        observer = TracepointObserver(Flow(workers.port, own, own, cgroup, transport=workers.transport))
        stack.callback(observer.close)
        contestants: dict[str, Callable[[], contextlib.AbstractContextManager[None]]] = {
            "bare": contextlib.nullcontext,
            "nettrace": lambda: observer_attached(observer),
        }
        if shutil.which("bpftrace"):
            contestants["bpftrace"] = lambda: bpftrace_attached(SCRIPT, workers.port)
        times: Times = {name: [] for name in contestants}
        for repetition in range(repetitions + 1):
            order = list(contestants)
            turn = repetition % len(order)
            for name in order[turn:] + order[:turn]:
                with contestants[name]():
                    times[name].append(elapsed_s(workers, messages))
    # The first repetition warms caches and the CPU's clock.
    return {name: values[1:] for name, values in times.items()}


def ratio_with_interval(times: Times, name: str) -> tuple[float, float, float]:
    """Median of observed / bare, and its 95 % bootstrap interval."""
    ratios = numpy.array(times[name]) / numpy.array(times["bare"])
    interval = bootstrap((ratios,), numpy.median, method="percentile", rng=0).confidence_interval
    return float(numpy.median(ratios)), float(interval.low), float(interval.high)


def shown(times: Times, name: str) -> str:
    if name not in times:
        return "n/a"
    ratio, low, high = ratio_with_interval(times, name)
    return f"{ratio:.3f} [{low:.3f}, {high:.3f}]"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=11)
    repetitions = parser.parse_args().repetitions
    table = Table(title=f"Observed / bare time of the same work over loopback, {repetitions} paired repetitions")
    for heading in ("mode", "message B", "bare ms", "nettrace / bare", "budget", "kept", "bpftrace / bare"):
        table.add_column(heading, justify="left" if heading == "mode" else "right")
    kept = True
    for mode in MODES:
        for size, budget in BUDGETS.items():
            times = measure(mode, size, repetitions)
            within = ratio_with_interval(times, "nettrace")[0] <= budget
            kept = kept and within
            bare_ms = f"{1000 * float(numpy.median(times['bare'])):.0f}"
            cells = (bare_ms, shown(times, "nettrace"), f"{budget:.2f}", "yes" if within else "NO")
            table.add_row(mode, f"{size:,}", *cells, shown(times, "bpftrace"))
    Console(width=110).print(table)
    return 0 if kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
