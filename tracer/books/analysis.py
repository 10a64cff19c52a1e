"""Everything that follows from a recording, in one document. Pure."""

from __future__ import annotations

from tracer.books.ledger import ledger_of
from tracer.books.verdict import verdict_of
from tracer.model import Document, Overhead, Recording


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
    if not recording.complete or bare is None or observed is None or not (bare.elapsed_s and observed.payload_bytes):
        return None
    return (observed.elapsed_s / observed.payload_bytes) / (bare.elapsed_s / bare.payload_bytes)
