"""Percentiles from the engine's histograms."""

from __future__ import annotations

from typing import Any

from workloads.engine._engine import ffi, lib


def merged_latency(jobs: list[Any]) -> dict[str, int] | None:
    """Percentiles over all messages of all threads, ns; None where there was no message."""
    buckets = [
        sum(column) for column in zip(*(ffi.unpack(job.latency, lib.ENGINE_BUCKETS) for job in jobs), strict=True)
    ]
    if not any(buckets):
        return None
    spans = [job.span for job in jobs]
    ticks = sum(span.end_ticks - span.start_ticks for span in spans)
    ns_per_tick = sum(span.end_ns - span.start_ns for span in spans) / ticks if ticks else 1.0
    slowest = max(job.slowest_ticks for job in jobs)
    percentiles = {f"p{percent}": percentile(buckets, percent, slowest) for percent in (50, 90, 99)}
    return {name: round(value * ns_per_tick) for name, value in {**percentiles, "max": slowest}.items()}


def percentile(buckets: list[int], percent: int, slowest: int) -> int:
    """The least value that so many percent of all do not exceed: the middle of its bucket, ticks."""
    rank = -(-sum(buckets) * percent // 100)
    seen = 0
    for index, count in enumerate(buckets):
        seen += count
        if seen >= rank and count:
            low = int(lib.engine_bucket_floor(index))
            return min(slowest, low + (int(lib.engine_bucket_floor(index + 1)) - low) // 2)
    return slowest
