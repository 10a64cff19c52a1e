"""A sweep as pandas tables: one row a run, and one row a median. Pure."""

from __future__ import annotations

from typing import Any

import pandas

from tracer.books.ledger import ledger_of
from tracer.model import Stage
from tracer.study.measurements import QUANTITIES, Samples, stage_copies
from tracer.study.sweep_plan import Run, Sweep


def table_of(sweep: Sweep) -> pandas.DataFrame:
    """One row a run: what was asked, every quantity with its source, every counter, copies per byte by stage.

    The host's facts are in every row: a table that is mailed without its manifest still says where it was made.
    """
    facts = _facts(sweep)
    return pandas.DataFrame([{**_row(run), **facts} for run in sorted(sweep.runs, key=lambda run: run.order)])


def _row(run: Run) -> dict[str, Any]:
    recording = run.recording
    experiment, bare = recording.experiment, recording.workload
    row: dict[str, Any] = {
        "label": run.label, "mode": experiment.mode, "size_bytes": experiment.size, "threads": experiment.threads,
        "link": str(experiment.link), "repetition": run.repetition, "order": run.order,
        "payload_bytes": bare.payload_bytes if bare else None, "elapsed_s": bare.elapsed_s if bare else None,
    }  # fmt: skip
    for quantity in QUANTITIES:
        measured = quantity.read(recording)
        row[quantity.name] = measured.value if measured else None
        row[f"{quantity.name}_source"] = measured.source if measured else None
    for counter in recording.counters:
        row[f"{counter.event}_{counter.scope}"] = counter.value
    copies = stage_copies(recording)
    row |= {f"{stage}_per_byte": copies.get(stage) for stage in Stage}
    row["trustworthy"] = ledger_of(recording).trustworthy if recording.observed else None
    return row


def summary_of(runs: list[Run]) -> pandas.DataFrame:
    """One row a cell and quantity: median, 95 % interval, repetitions, source."""
    rows = []
    for quantity in QUANTITIES:
        samples = Samples(runs, quantity)
        for cell in samples.cells():
            found = samples.interval(*cell)
            if found is not None:
                rows.append({
                    "label": cell.label, "size_bytes": cell.size, "threads": cell.threads, "quantity": quantity.name,
                    "median": found.median, "low": found.low, "high": found.high, "repetitions": found.repetitions,
                    "source": samples.source,
                })  # fmt: skip
    return pandas.DataFrame(rows)


def _facts(sweep: Sweep) -> dict[str, object]:
    manifest, host = sweep.manifest, sweep.manifest.host
    return {
        "kernel": host.kernel, "cpu": host.cpu, "cores": host.cores, "where": host.where, "emulated": host.emulated,
        "device": host.nic.device if host.nic else None, "started": manifest.started, "seed": manifest.plan.seed,
    }  # fmt: skip
