"""TLS records as a workload of ours has them: version 1.2, AES-GCM-128 (workloads/child/tls.py). Pure."""

from __future__ import annotations

from tracer.books.tallies import bytes_at, events_at
from tracer.model import Observation

# Beside its payload: a header, the nonce that goes with it, and the cipher's tag.
TAG = 16
ADDED = 5 + 8 + TAG

# What the context of kernel TLS tells of all its sockets: records, and the bytes that these have beside the payload.
RECORDS_OUT, RECORDS_IN = "tls_context:records_out", "tls_context:records_in"


def added(observation: Observation, name: str) -> int | None:
    """Bytes beside the payload."""
    return bytes_at(observation, name)


def enciphered(observation: Observation, row: str) -> int | None:
    """Bytes beside the payload of the records that a cipher was seen to make."""
    records = events_at(observation, row)
    return None if records is None else records * ADDED
