"""nettrace probes: the table of probe points, and what this kernel makes of it."""

from __future__ import annotations

import sys

import click


@click.command()
@click.option("--source", is_flag=True, help="Print the C program that would be compiled here.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(source: bool, as_json: bool) -> None:
    """List the kernel functions that nettrace watches, why, and how each would be attached here.

    Needs no privilege; what this user may not look at is said to be unknown.
    """
    from tracer.observers.functions import planned, source_text
    from tracer.reports.probes import probes_json, probes_text

    attachments = planned()
    if source:
        click.echo(source_text(attachments), nl=False)
        return
    rows = [attachment.described() for attachment in attachments]
    click.echo(probes_json(rows) if as_json else probes_text(rows, colour=sys.stdout.isatty()).rstrip())
