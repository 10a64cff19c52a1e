"""nettrace schema: the JSON Schema of what --json prints and --save writes."""

from __future__ import annotations

import json

import click


@click.command()
def command() -> None:
    """Print the JSON Schema of a recording."""
    from tracer.books.recording import json_schema

    click.echo(json.dumps(json_schema(), indent=2))
