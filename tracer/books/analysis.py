"""Everything that follows from a recording, in one document. Pure."""

from __future__ import annotations

import math

from tracer.books.ledger import ledger_of
from tracer.books.verdict import verdict_of
from tracer.model import Document, Overhead, Recording, Workload


def document_of(recording: Recording) -> Document:
    """The recording with its ledger, overhead and verdict; always derived anew, never taken from a file."""
    ledger = ledger_of(recording)
    fields = {name: getattr(recording, name) for name in Recording.__struct_fields__}
    return Document(
        **fields,
        ledger=ledger,
        overhead=Overhead(observed_over_bare=_overhead(recording)),
        verdict=verdict_of(recording, ledger),
    )


def _overhead(recording: Recording) -> float | None:
    """Observed over bare time per payload byte; None unless both passes came to their end."""
    bare, observed = recording.workload, recording.observed
    if not recording.complete or bare is None or observed is None:
        return None
    return time_ratio(observed.elapsed_s, observed.payload_bytes, bare)


def time_ratio(elapsed_s: float, payload_bytes: int, bare: Workload) -> float | None:
    """Time per payload byte of a pass over that of the bare pass; None where either has none that can be divided."""
    spent = bare.elapsed_s * payload_bytes
    # A number of a file may be as small as a float can be: its products are 0 then.
    return elapsed_s * bare.payload_bytes / spent if spent and math.isfinite(spent) else None
