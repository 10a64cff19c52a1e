"""nettrace run --lab all: the same experiment on each kernel that the lab has fetched."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click
import msgspec

from tracer.commands.output import exit_code, note
from tracer.errors import UsageError
from tracer.model import Document, Experiment

if TYPE_CHECKING:
    from tracer.books.expectations import Expectation


def run_on_every_kernel(experiment: Experiment, as_json: bool, expected: list[Expectation]) -> int:
    """Run, print side by side, and give the worst of the runs' exit codes.

    Raises:
        UsageError: no kernel has been fetched.
    """
    from tracer.books.analysis import document_of
    from tracer.lab import kernels
    from tracer.runs.dispatch import record

    here = [name for name, kernel in kernels.available().items() if kernel is not None]
    if not here:
        raise UsageError("--lab all: no kernel of the lab is here yet", "it fetches none by itself", "make lab")
    documents: list[Document] = []
    for name in here:
        note(f"kernel {name}")
        documents.append(document_of(record(msgspec.structs.replace(experiment, lab=name), note)))
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(documents), indent=2))
    else:
        from tracer.reports.kernels import print_kernels
        from tracer.reports.tables import make_console

        print_kernels(documents, make_console(sys.stdout))
    return max(_judged(document, expected) for document in documents)


def _judged(document: Document, expected: list[Expectation]) -> int:
    if expected:
        note(f"kernel {document.experiment.lab}")
    return exit_code(document, expected)
