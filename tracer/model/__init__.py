"""The words of nettrace as types; no I/O, no policy.

A quantity that nobody observed is None, never 0. Bytes are payload bytes (headers excluded), times are nanoseconds
unless the name says otherwise. Every type is immutable; unknown fields of a file are ignored, so that later versions
may add some.
"""

from tracer.model.books import Cause, CopiesPerByte, Document, Entry, Ledger, Overhead, Stage, Verdict
from tracer.model.experiment import SCHEMA, Count, Experiment, Host, Link, Nic, ObserverChoice, Seconds, Settings
from tracer.model.law import Law, LawState
from tracer.model.measurements import (
    Completions,
    Counter,
    CpuProfile,
    CpuTime,
    Latency,
    Observation,
    Recording,
    Stack,
    StageCost,
    Tally,
    Workload,
)

__all__ = [
    "SCHEMA",
    "Cause",
    "Completions",
    "CopiesPerByte",
    "Count",
    "Counter",
    "CpuProfile",
    "CpuTime",
    "Document",
    "Entry",
    "Experiment",
    "Host",
    "Latency",
    "Law",
    "LawState",
    "Ledger",
    "Link",
    "Nic",
    "Observation",
    "ObserverChoice",
    "Overhead",
    "Recording",
    "Seconds",
    "Settings",
    "Stack",
    "Stage",
    "StageCost",
    "Tally",
    "Verdict",
    "Workload",
]
