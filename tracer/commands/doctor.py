"""`nettrace doctor`: what this machine lacks, and how to get it."""

from __future__ import annotations

import os
import sys

import click

from tracer.commands.options import json_option
from tracer.commands.output import note
from tracer.errors import EXIT_MACHINE, EXIT_OK
from tracer.machine import leftovers


@click.command()
@json_option
@click.option("--clean", is_flag=True, help="Remove what a killed run has left, and nothing else.")
@click.pass_context
def command(ctx: click.Context, as_json: bool, clean: bool) -> None:
    """Say what this machine can do, what it lacks, and the command that fixes it.

    Exit code 0 if `nettrace run` works here, 4 if not.
    """
    if clean:
        _clean(as_json)
        return
    # Imported here, so that `nettrace --help` need not.
    from tracer.books.facts import diagnose
    from tracer.machine.kernel.examination import kernel_facts
    from tracer.machine.kernel.installation import installation_facts

    diagnosis = diagnose([*kernel_facts(), *installation_facts()])
    if as_json:
        _print_json(diagnosis)
    else:
        from tracer.reports.doctor import doctor_text

        click.echo(doctor_text(diagnosis, colour=sys.stdout.isatty() and "NO_COLOR" not in os.environ), nl=False)
    if leftovers.find():
        note("a run that was killed has left something: nettrace doctor --clean")
    ctx.exit(EXIT_OK if diagnosis.can_run else EXIT_MACHINE)


def _clean(as_json: bool) -> None:
    found = leftovers.find()
    leftovers.remove(found)
    if as_json:
        _print_json({"removed": [{"kind": leftover.kind, "path": str(leftover.path)} for leftover in found]})
        return
    for leftover in found:
        click.echo(f"removed {leftover.kind} {leftover.path}")
    if not found:
        click.echo("nothing was left behind")


def _print_json(document: object) -> None:
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(document)).decode())
