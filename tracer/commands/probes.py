"""nettrace probes: the table of probe points, and what this kernel makes of it."""

from __future__ import annotations

import sys

import click

from tracer.commands.options import json_option
from tracer.commands.output import write_json
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
    from tracer.reports.tables import has_colour, make_console

    attachments = planned()
    if source:
        click.echo(source_text(attachments), nl=False)
        return
    rows = [attachment.described() for attachment in attachments]
    if as_json:
        write_json(probes_json(rows))
        return
    console = make_console(sys.stdout)
    click.echo(probes_text(rows, has_colour(console), console.width), nl=False)
