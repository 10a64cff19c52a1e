"""The same experiment on several kernels side by side, and where they differ."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from tracer.model import Document, LawState, Stage
from tracer.reports.tables import make_table
from tracer.units import format_count

_UNKNOWN = "n/a"


def rows_of(documents: Sequence[Document]) -> dict[str, list[str]]:
    """What is compared: each row's name, and its value on each kernel; "n/a" where that kernel's run did not see it."""
    rows = {
        "verdict": [document.verdict.code for document in documents],
        "payload": [_bytes(document.observed.payload_bytes if document.observed else None) for document in documents],
    }
    for stage in Stage:
        if any(document.ledger.entry(stage) is not None for document in documents):
            name = stage.replace("_", " ")
            rows[name] = [_bytes(document.ledger.bytes_of(stage)) for document in documents]
            rows[f"  {name}, seen in"] = [_where(document, stage) for document in documents]
    rows["sent again by TCP"] = [_bytes(document.ledger.retransmitted_bytes) for document in documents]
    if any(document.attempts > 1 for document in documents):
        rows["observed passes, of which the last is told"] = [f"{document.attempts}" for document in documents]
    rows["laws broken"] = [_laws(document, LawState.BROKEN) for document in documents]
    rows["laws undecided"] = [_laws(document, LawState.UNKNOWN) for document in documents]
    # Where a byte was seen is worth a line where the kernels do it in different functions.
    return {name: values for name, values in rows.items() if not name.endswith("seen in") or len(set(values)) > 1}


def differences(rows: dict[str, list[str]]) -> list[str]:
    """Names of the rows whose values are not the same on all kernels; one that a kernel does not know differs too."""
    return [name for name, values in rows.items() if len(set(values)) > 1]


def print_kernels(documents: Sequence[Document], console: Console) -> None:
    """A column for each kernel, a mark at each row that differs, and the rows' names in a sentence."""
    rows = rows_of(documents)
    differ = differences(rows)
    table = make_table(console, "figure", *(f"{document.experiment.lab}" for document in documents), "differ")
    for name, values in rows.items():
        table.add_row(name, *values, "*" if name in differ else "")
    experiment = documents[0].experiment
    kernels = ", ".join(f"{document.experiment.lab} ({document.host.kernel})" for document in documents)
    console.print(f"{experiment.mode} over {experiment.link} on {len(documents)} kernels: {kernels}\n")
    names = ", ".join(name.strip() for name in differ)
    console.print(f"They differ in: {names}.\n" if differ else "They do not differ in any of these.\n")
    console.print(table)


def _bytes(value: int | None) -> str:
    return _UNKNOWN if value is None else f"{format_count(value)} B"


def _where(document: Document, stage: Stage) -> str:
    entries = [entry for entry in document.ledger.entries if entry.stage is stage and entry.bytes]
    return ", ".join(dict.fromkeys(entry.function for entry in entries)) or "-"


def _laws(document: Document, state: LawState) -> str:
    return ", ".join(law.id for law in document.ledger.laws if law.state is state) or "none"
