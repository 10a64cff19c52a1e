"""`nettrace doctor`: what this machine lacks, and how to get it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from tracer.commands.options import json_option
from tracer.commands.output import note, write_json
from tracer.errors import EXIT_MACHINE, EXIT_OK, UsageError
from tracer.machine import leftovers

if TYPE_CHECKING:
    from tracer.books.facts import Diagnosis, Fact


@click.command()
@json_option
@click.option("--report", is_flag=True, help="Print all that an issue needs, in Markdown, without names or addresses.")
@click.option("--clean", is_flag=True, help="Remove what a killed run has left, and nothing else.")
@click.pass_context
def command(ctx: click.Context, as_json: bool, report: bool, clean: bool) -> None:
    """Say what this machine can do, what it lacks, and the command that fixes it.

    Exit code 0 if `nettrace run` works here as this user, 4 if not, also where only a privilege is missing.
    """
    if as_json and report:
        raise UsageError("--json and --report exclude each other", "one is for programs, one for people", "give one")
    if clean:
        _clean(as_json)
        return
    # Imported here, so that `nettrace --help` need not.
    from tracer.books.facts import diagnose
    from tracer.machine.kernel.examination import kernel_facts
    from tracer.machine.kernel.installation import installation_facts

    diagnosis = diagnose(_with_trial([*kernel_facts(), *installation_facts()]))
    if as_json:
        _print_json(diagnosis)
    elif report:
        _print_report(diagnosis)
    else:
        from tracer.reports.doctor import doctor_text
        from tracer.reports.tables import has_colour, make_console

        console = make_console(sys.stdout)
        click.echo(doctor_text(diagnosis, has_colour(console), console.width), nl=False)
    if leftovers.find():
        note("a run that was killed has left something: nettrace doctor --clean")
    ctx.exit(EXIT_OK if diagnosis.can_run else EXIT_MACHINE)


def _print_report(diagnosis: Diagnosis) -> None:
    from tracer.machine.versions import operating_system, secrets, versions
    from tracer.reports.doctor import issue_text

    click.echo(issue_text([*versions(), *operating_system()], diagnosis, secrets()), nl=False)


def _with_trial(facts: list[Fact]) -> list[Fact]:
    """With the fact that only a run tells, where nothing is known to be in its way."""
    from tracer.books.facts import State

    if any(fact.required and fact.state is not State.OK for fact in facts):
        return facts
    from tracer.runs.trial import trial_fact

    return [*facts, trial_fact()]


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

    write_json(msgspec.json.format(msgspec.json.encode(document)).decode())
