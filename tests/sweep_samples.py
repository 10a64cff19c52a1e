"""Sweeps made of numbers, for the pure tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from tests.samples import copied, host, looped
from tracer.model import Counter, CpuProfile, CpuTime, Experiment, Latency, Link, Recording, StageCost
from tracer.study.sweep_plan import SWEEP_SCHEMA, Manifest, Plan, Run, Sweep

MODES = ["twocopy", "onecopy", "zerocopy"]
SIZES = [1024, 4096, 16384, 65536]
# As many repetitions as it takes to tell the 48 differences of the largest rules from noise.
REPETITIONS = 11
# Times the payload of the samples: the bare pass lasts for many ticks of the clock.
BARE_PASS = 16384
# They scatter by some per cent around the value that a test means.
NOISE = (1.0, 1.01, 0.99, 1.02, 0.98)

Value = Callable[[str, int, int], float]
"""Of mode, size and threads."""


def rising(mode: str, size: int, threads: int) -> float:  # noqa: ARG001
    """Throughput in Gb/s as the source study has it but for the modes: it grows with the message."""
    return size / 1024


def plan(**other: Any) -> Plan:
    fields: dict[str, Any] = {
        "modes": MODES,
        "sizes": SIZES,
        "threads": [1, 2, 4],
        "repetitions": REPETITIONS,
        "seed": 1,
    }
    return Plan(**{**fields, **other})


SMALL = plan(sizes=[1024, 4096], threads=[1], repetitions=2)


def manifest(of: Plan, **other: Any) -> Manifest:
    fields: dict[str, Any] = {
        "schema": SWEEP_SCHEMA, "plan": of, "host": host(), "started": "2026-11-22T08:00:00+00:00", "versions": {},
    }  # fmt: skip
    return Manifest(**{**fields, **other})


def run(
    mode: str, size: int, threads: int, repetition: int, *, gbps: float = 1.0, latency_us: float = 10.0,
    cpu_us_per_kib: float = 1.0, counters: dict[str, float] | None = None, label: str = "", order: int = 0,
    emulated: bool = False, link: Link = Link.LO, profile: CpuProfile | None = None,
) -> Run:  # fmt: skip
    """One run; counters are per payload byte, of sender and receiver together."""
    base = looped() if mode == "zerocopy" else copied(mode)
    assert base.workload is not None
    payload = base.workload.payload_bytes * BARE_PASS
    spent = round(cpu_us_per_kib * 1000 * payload / 1024)
    bare = msgspec.structs.replace(
        base.workload, payload_bytes=payload, throughput_bytes_per_s=gbps * 1e9 / 8,
        elapsed_s=payload * 8 / (gbps * 1e9),
        latency_ns=Latency(p50=round(latency_us * 1000), p90=10**8, p99=10**8, max=10**8),
        sender_cpu_ns=CpuTime(user=0, system=spent, total=spent),
        receiver_cpu_ns=CpuTime(user=0, system=0, total=0),
    )  # fmt: skip
    rows = [
        Counter(event=event, scope=scope, value=value * payload / 2, source="perf")
        for event, value in (counters or {}).items()
        for scope in ("sender", "receiver")
    ]
    recording = msgspec.structs.replace(
        base, experiment=Experiment(mode=mode, size=size, threads=threads, messages=23, link=link), workload=bare,
        observed=base.observed if repetition == 0 else None, observations=base.observations if repetition == 0 else [],
        counters=rows, profile=profile, host=host(emulated=emulated, cpu="QEMU TCG" if emulated else "AMD EPYC"),
    )  # fmt: skip
    return Run(label=label or mode, repetition=repetition, order=order, recording=recording)


def runs(
    throughput: Value = rising, latency: Value | None = None, demand: Value | None = None,
    counters: dict[str, Value] | None = None, *, of: Plan | None = None, noise: tuple[float, ...] = NOISE, **other: Any,
) -> list[Run]:  # fmt: skip
    """All runs of a plan; the noise of a repetition is turned by the cell, so that no two modes share it."""
    of = of or plan()
    found = []
    for index, cell in enumerate(of.cells()):
        mode = of.labels()[cell.label]
        for repetition in range(of.repetitions):
            factor = noise[(repetition + index) % len(noise)]
            where = (mode, cell.size, cell.threads)
            counted = {event: value(*where) * factor for event, value in (counters or {}).items()}
            found.append(
                run(
                    *where, repetition, gbps=throughput(*where) * factor, label=cell.label, order=len(found),
                    latency_us=(latency(*where) if latency else 10.0) * factor,
                    cpu_us_per_kib=(demand(*where) if demand else 1.0) * factor, counters=counted, **other,
                )
            )  # fmt: skip
    return found


def sweep(found: list[Run] | None = None, of: Plan | None = None, **other: Any) -> Sweep:
    of = of or plan()
    return Sweep(manifest=manifest(of, **other), runs=runs(of=of) if found is None else found)


def profile(**shares: float) -> CpuProfile:
    """A profile of these shares of the CPU time."""
    stages = [
        StageCost(stage=name, samples=round(share * 1000), share=share, ns_per_byte=share)
        for name, share in shares.items()
    ]
    return CpuProfile(event="cpu-clock", period_ns=100_000, samples=1000, stages=stages)


def profiled(mode: str, size: int = 1024, threads: int = 1, **shares: float) -> Recording:
    """A recording with a CPU profile."""
    return run(mode, size, threads, 0, profile=profile(**shares)).recording


def by_mode(**factors: float):
    """Throughput that grows with the size, times a factor of the mode."""
    return lambda mode, size, threads: factors.get(mode, 1.0) * rising(mode, size, threads)


def falling(mode: str, size: int, threads: int) -> float:
    return 1e6 / rising(mode, size, threads)


def constant(mode: str, size: int, threads: int) -> float:  # noqa: ARG001
    return 10.0


def only(mode_of_choice: str, this, that):
    return lambda mode, size, threads: (this if mode == mode_of_choice else that)(mode, size, threads)


def growing(_mode: str, _size: int, threads: int) -> float:
    return float(threads)


def shrinking(_mode: str, _size: int, threads: int) -> float:
    return 1.0 / threads


def few(mode: str, samples: int, **shares: float) -> Recording:
    """A profile of so many samples."""
    base = profiled(mode, **shares)
    assert base.profile is not None
    stages = [msgspec.structs.replace(one, samples=round(one.share * samples)) for one in base.profile.stages]
    return msgspec.structs.replace(
        base, profile=msgspec.structs.replace(base.profile, samples=samples, stages=stages)
    )  # fmt: skip
