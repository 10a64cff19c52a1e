"""`nettrace lab`: the virtual machine in which the same commands run under another kernel."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import click

from tracer.commands.output import note

KERNEL = click.option("--kernel", metavar="NAME", help="Kernel series. [default: the one that runs, else 6.12]")
BOUNCE = click.option("--bounce", is_flag=True, help="Send every DMA through a bounce buffer (swiotlb=force).")
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


@click.group()
def command() -> None:
    """Run other kernels in a virtual machine that sees this machine's files read-only.

    The first use of a kernel fetches it from Debian. The guest stays warm between commands and
    switches itself off after ten minutes without one.
    """


@command.command()
@click.argument("kernel", default="6.12")
@BOUNCE
def up(kernel: str, bounce: bool) -> None:
    """Start the guest with KERNEL (6.1, 6.12 or 7.2), stopping another one."""
    from tracer.lab.guest import guest_for

    guest = guest_for(kernel, bounce, note)
    guest.start(note=note)
    click.echo(f"the lab runs kernel {guest.kernel.name} ({guest.kernel.release})")


@command.command()
def down() -> None:
    """Stop the guest, whatever state it is in."""
    from tracer.lab import machine

    click.echo("the lab is stopped" if machine.stop() else "the lab was not running")


@command.command()
@JSON
def status(as_json: bool) -> None:
    """Say what the lab runs."""
    from tracer.lab import machine

    facts = machine.running()
    if as_json:
        document: dict[str, object] = {"running": facts is not None, "pid": machine.process(), "guest": None}
        if facts is not None:
            document["guest"] = {
                "kernel": facts.kernel,
                "release": facts.release,
                "bounce": facts.bounce,
                "emulated": facts.emulated,
            }
        click.echo(json.dumps(document, indent=1))
    elif facts is None:
        click.echo("the lab is not running")
    else:
        cpu = "an emulated CPU" if facts.emulated else "KVM"
        bounced = ", every DMA bounced" if facts.bounce else ""
        click.echo(f"the lab runs kernel {facts.kernel} ({facts.release}) on {cpu}{bounced}")


@command.command(name="exec", context_settings={"ignore_unknown_options": True})
@KERNEL
@BOUNCE
@click.option("--timeout", type=click.FloatRange(0, min_open=True), help="Seconds; then the guest is given up.")
@click.argument("argv", metavar="-- COMMAND...", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_context
def execute(ctx: click.Context, kernel: str | None, bounce: bool, timeout: float | None, argv: tuple[str, ...]) -> None:
    """Run COMMAND in the guest as its root, in this directory; its exit code is this one's.

    What it writes stays in the guest. It has no standard input.
    """
    from tracer.lab import machine
    from tracer.lab.guest import guest_for, least_environment
    from tracer.lab.kernels import DEFAULT

    if kernel is None and (facts := machine.running()) is not None:
        kernel, bounce = facts.kernel, bounce or facts.bounce
    passed_on = {name: os.environ[name] for name in ("LANG", "TERM", "NO_COLOR") if name in os.environ}
    ctx.exit(
        guest_for(kernel or DEFAULT, bounce, note).run(
            argv,
            cwd=Path.cwd(),
            env=least_environment() | passed_on,
            stdout=_writer(sys.stdout.fileno()),
            stderr=_writer(sys.stderr.fileno()),
            timeout=timeout,
            note=note,
        )
    )


@command.command()
@click.option("--fetch", metavar="NAME", help="Fetch the newest kernel of this series now.")
@JSON
def kernels(fetch: str | None, as_json: bool) -> None:
    """List the kernels that the lab knows, and which are here."""
    from tracer.lab import kernels as known

    if fetch is not None:
        known.fetch(fetch, note)
    rows = [
        {
            "name": name,
            "suite": known.SUITES[name],
            "fetched": kernel is not None,
            "release": kernel.release if kernel else None,
            "version": kernel.version if kernel else None,
            "bytes": kernel.size() if kernel else None,
            "default": name == known.DEFAULT,
        }
        for name, kernel in known.available().items()
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    for row in rows:
        size = f"{row['bytes'] / 1e6:.0f} MB" if isinstance(row["bytes"], int) else "not fetched"
        click.echo(f"{row['name']:6} Debian {row['suite']:10} {size:>12}  {row['release'] or ''}".rstrip())


def _writer(descriptor: int) -> Callable[[bytes], None]:
    """Bytes of the command, unchanged and at once; a reader that has left is no error of ours."""

    def write(data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]

    return write
