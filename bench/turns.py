"""Contestants that take turns, and how one of them does beside another.

Every repetition runs all contestants, one right after the other and in shuffled order, with fixed work; ratios are
taken within a repetition, so that a slow moment of the machine hits both sides. CPU time is that of the sending and the
receiving thread, by their own clocks (CLOCK_THREAD_CPUTIME_ID), and decides. Wall time is shown and decides nothing:
on two busy cores it is noise. Nothing is pinned to a CPU; every process is in a session of its own, as the engine's
are, because the scheduler shares a busy CPU between sessions (autogroup). Each run of each contestant has processes of
its own: which pages its buffers lie in, hence how they share the caches, is luck that must not last for all
repetitions.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy
from scipy.stats import bootstrap


class Sample(NamedTuple):
    """One run: CPU time of both threads for a byte of payload, ns (NaN where unknown), and Gb/s."""

    cpu_ns: float
    speed: float


Samples = dict[str, list[Sample]]


class Ratio(NamedTuple):
    """Median of one contestant's figure over another's within a repetition, and its 95 % bootstrap interval."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.3f} [{self.low:.3f}, {self.high:.3f}]"


def take_turns(contestants: Mapping[str, Callable[[], Sample]], repetitions: int) -> Samples:
    """Samples by contestant, repetition by repetition."""
    samples: Samples = {name: [] for name in contestants}
    for repetition in range(repetitions + 1):
        # Not in turns: then each would always follow the same one, in the caches and free pages that it leaves behind.
        for name in random.Random(repetition).sample(sorted(contestants), len(contestants)):
            samples[name].append(contestants[name]())
    # The first repetition warms caches and the CPU's clock.
    return {name: values[1:] for name, values in samples.items()}


def ratio(samples: Samples, one: str, other: str, of: str) -> Ratio:
    """One over the other, of a field of Sample."""
    ratios = numpy.array([getattr(a, of) / getattr(b, of) for a, b in zip(samples[one], samples[other], strict=True)])
    interval = bootstrap((ratios,), numpy.median, method="percentile", rng=0).confidence_interval
    return Ratio(float(numpy.median(ratios)), float(interval.low), float(interval.high))


def cpu_ns(samples: Samples, name: str) -> float:
    """Median CPU time of a contestant for a byte, ns."""
    return float(numpy.median([one.cpu_ns for one in samples[name]]))


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
