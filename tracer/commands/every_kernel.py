"""nettrace run --lab all: the same experiment on each kernel that the lab has fetched."""

from __future__ import annotations

import sys

import click
import msgspec

from tracer.commands.output import exit_code, note
from tracer.commands.recorder import record
from tracer.errors import UsageError
from tracer.model import Document, Experiment

ALL = "all"


def run_on_every_kernel(experiment: Experiment, as_json: bool, expect_zerocopy: bool) -> int:
    """Run, print side by side, and give the worst of the runs' exit codes.

    Raises:
        UsageError: no kernel has been fetched.
    """
    from tracer.books.analysis import document_of
    from tracer.lab import kernels

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
        from tracer.reports.terminal import make_console

        print_kernels(documents, make_console(sys.stdout))
    return max(exit_code(document, expect_zerocopy) for document in documents)
