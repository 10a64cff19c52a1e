"""What the verbs share: how a recording is shown, and which exit code it earns."""

from __future__ import annotations

import sys

import click

from tracer.errors import EXIT_EXPECTATION_FAILED, EXIT_INTERRUPTED, EXIT_MACHINE, EXIT_OK, EXIT_UNTRUSTWORTHY
from tracer.model import Document


def emit(document: Document, as_json: bool) -> None:
    """Print a document on stdout, as JSON or for people."""
    from tracer.books.recording import encode

    if as_json:
        sys.stdout.write(encode(document).decode())
        return
    from tracer.reports.terminal import make_console, print_document

    print_document(document, make_console(sys.stdout))


def note(text: str) -> None:
    """Progress, on stderr so that stdout holds data alone."""
    click.echo(f"nettrace: {text}", err=True)


def exit_code(document: Document, expect_zerocopy: bool) -> int:
    """The exit code that a finished recording earns."""
    if not document.complete:
        return EXIT_MACHINE if document.stuck else EXIT_INTERRUPTED
    if not document.ledger.trustworthy:
        return EXIT_UNTRUSTWORTHY
    if expect_zerocopy and document.verdict.code != "zero-copy":
        return EXIT_EXPECTATION_FAILED
    return EXIT_OK
