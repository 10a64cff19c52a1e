"""Trials of nettrace's own workloads, and the figures that lessons take of them."""

from __future__ import annotations

from typing import Any

from tracer.books.advice import command_line
from tracer.books.analysis import document_of
from tracer.books.walk import Walk, Walked, copied_bytes, unobserved, walk_of
from tracer.model import Document, Experiment
from tracer.runs.dispatch import record
from tracer.study.lessons.lesson import Note, Trial
from tracer.units import format_count, format_ratio


def run_of(mode: str, **asked: Any) -> Trial:
    """A run of this mode; shown are its steps that copy, and what the completions say."""
    experiment = Experiment(mode=mode, size=16384, **asked)

    def measure(note: Note) -> Document:
        return document_of(record(experiment, note))

    return Trial(command_line(experiment), measure, shown)


def shown(document: Document) -> list[str]:
    """Where its bytes were copied, a line a step that was taken; then the completions."""
    walk = walk_of(document)
    return [*steps_of(walk), *(f"not trustworthy: {doubt}" for doubt in document.ledger.doubts)]


def steps_of(walk: Walk) -> list[str]:
    """A line a step that was taken, of those that are told."""
    return [_line(walked, walk.payload) for walked in walk.steps if walked.taken and is_told(walked)]


def is_told(walked: Walked) -> bool:
    """Steps at which a copy is made or spared, and the completions."""
    return walked.step.stage is not None or walked.step.word == "completion"


def _line(walked: Walked, payload: int) -> str:
    step = walked.step
    if step.word == "completion":
        return f"{step.word}: {walked.more}"
    times = format_ratio(None if walked.bytes is None else walked.bytes / payload)
    number = f"{format_count(walked.bytes)} B, {times}x each byte"
    return f"{step.word} {number}: {step.what} ({step.function})"


def doubt_of(documents: list[Document]) -> str:
    """Why these do not decide; empty where they do."""
    doubts = [doubt for document in documents for doubt in document.ledger.doubts]
    if doubts:
        return f"This measurement cannot be trusted: {doubts[0]}."
    missing = [step.word for document in documents for step in unobserved(walk_of(document))]
    return f"Not observed here: {', '.join(dict.fromkeys(missing))}." if missing else ""


def copies(document: Document) -> float:
    """Copies of each payload byte in the kernel; what TCP sent again is copied again."""
    walk = walk_of(document)
    return copied_bytes(walk) / walk.payload if walk.payload else 0.0


def copying(document: Document) -> list[str]:
    """Steps at which the kernel copied."""
    words = [one.step.word for one in walk_of(document).steps if one.taken and one.step.is_copy]
    return [word for word in words if word != "pack"]


def places(document: Document) -> str:
    """The same in words: "copy-in and copy-out"."""
    return " and ".join(copying(document))
