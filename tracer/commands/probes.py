"""nettrace probes: the table of probe points, and what this kernel makes of it."""

from __future__ import annotations

import sys

import click

from tracer.commands.options import json_option
from tracer.errors import UsageError


@click.command()
@click.option("--source", is_flag=True, help="Print the C program that would be compiled here.")
@json_option
def command(source: bool, as_json: bool) -> None:
    """List the kernel functions that nettrace watches, why, and how each would be attached here.

    Needs no privilege; what this user may not look at is said to be unknown.
    """
    if source and as_json:
        raise UsageError("--source and --json exclude each other", "a C program is no JSON document", "give one")
    from tracer.observers.functions import planned, source_text
    from tracer.reports.probes import probes_json, probes_text

    attachments = planned()
    if source:
        click.echo(source_text(attachments), nl=False)
        return
    rows = [attachment.described() for attachment in attachments]
    click.echo(probes_json(rows) if as_json else probes_text(rows, colour=sys.stdout.isatty()).rstrip())
