"""`nettrace lab`: the virtual machine in which the same commands run under another kernel."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import click

from tracer.commands.options import MAX_WATCHED_S, Seconds
from tracer.commands.output import note
from tracer.commands.usage import Verbs

KERNEL = click.option("--kernel", metavar="NAME", help="Kernel series. [default: the one that runs, else 6.12]")
BOUNCE = click.option("--bounce", is_flag=True, help="Send every DMA through a bounce buffer (swiotlb=force).")
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


@click.group(cls=Verbs)
def command() -> None:
    """Run other kernels in a virtual machine that sees this machine's files read-only.

    The first use of a kernel fetches it from Debian and saves a guest that has everything loaded;
    from then on each command gets a fresh guest that goes on from there.
    """


@command.command()
@click.argument("kernel", required=False)
@BOUNCE
def up(kernel: str | None, bounce: bool) -> None:
    """Start a guest with KERNEL that stays, stopping another one: exec, run and compare share it until `lab down`."""
    from tracer.lab import kernels, opening
    from tracer.runs import warming

    staying = opening.keep(
        warming.wanted(kernels.match(kernel or kernels.default()), bounce=bounce, least=warming.ALL), note
    )
    click.echo(f"the lab runs kernel {staying.hardware.kernel.name} ({staying.hardware.kernel.release})")


@command.command()
def down() -> None:
    """Stop the guest that stays, whatever state it is in."""
    from tracer.lab import kept

    click.echo("the lab is stopped" if kept.stop() else "the lab was not running")


@command.command()
@click.argument("kernels", nargs=-1)
@BOUNCE
def warm(kernels: tuple[str, ...], bounce: bool) -> None:
    """Fetch KERNELS (all that the lab knows) and make their snapshots now, so that no command has to wait for them."""
    from tracer.lab import kernels as known
    from tracer.lab import making, opening, snapshots, sources
    from tracer.runs import warming

    for name in [known.match(name) for name in kernels] or known.names():
        wanted = warming.wanted(name, bounce=bounce)
        where = opening.place(wanted, opening.hardware(wanted, note))
        snapshots.remove_other(where, sources.digest())
        saved = making.wait_for(where, wanted.maker(name, bounce), warming.ALL, note)
        click.echo(f"kernel {name} is ready: its snapshot takes {saved.size() / 1e6:.0f} MB")


@command.command()
@click.option("--all", "everything", is_flag=True, help="Remove all; the next use of a kernel takes longer.")
def prune(everything: bool) -> None:
    """Remove what is left of snapshots that are out of date, and all but the last used ones."""
    from tracer.lab import snapshots

    freed = snapshots.prune(0 if everything else snapshots.KEPT)
    click.echo(f"freed {freed / 1e6:.0f} MB; {snapshots.used() / 1e6:.0f} MB are in use")


@command.command()
@JSON
def status(as_json: bool) -> None:
    """Say what the lab runs and what it keeps on the disk."""
    from tracer.lab import kept, snapshots
    from tracer.reports.lab import print_snapshots
    from tracer.reports.tables import make_console

    facts = kept.running()
    listed = [{"name": one.directory.name, "bytes": one.size()} for one in snapshots.everything()]
    if as_json:
        document: dict[str, object] = {"running": facts is not None, "pid": facts.pid if facts else None, "guest": None}
        if facts is not None:
            document["guest"] = {
                "kernel": facts.kernel,
                "release": facts.release,
                "bounce": facts.bounce,
                "emulated": facts.emulated,
            }
        document["snapshots"] = listed
        document["bytes"] = snapshots.used()
        click.echo(json.dumps(document, indent=1))
        return
    if facts is None:
        click.echo("the lab is not running")
    else:
        cpu = "an emulated CPU" if facts.emulated else "KVM"
        bounced = ", every DMA bounced" if facts.bounce else ""
        click.echo(f"the lab runs kernel {facts.kernel} ({facts.release}) on {cpu}{bounced}")
    print_snapshots(listed, make_console(sys.stdout))
    click.echo(f"{snapshots.used() / 1e6:.0f} MB of snapshots and root images")


@command.command(name="exec", context_settings={"ignore_unknown_options": True})
@KERNEL
@BOUNCE
@click.option("--timeout", type=Seconds(MAX_WATCHED_S), help="Seconds; then the guest is given up.")
@click.argument("argv", metavar="-- COMMAND...", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_context
def execute(ctx: click.Context, kernel: str | None, bounce: bool, timeout: float | None, argv: tuple[str, ...]) -> None:
    """Run COMMAND in the guest as its root, in this directory; its exit code is this one's.

    It sees this machine's files as they are now, and what it writes stays in the guest: in the one that `lab up`
    started, where there is one, else in one that ends with the command. It has no standard input.
    """
    from tracer.lab import kept, opening
    from tracer.lab.guest import least_environment, writer
    from tracer.lab.kernels import default, match
    from tracer.runs import warming

    if kernel is None and (facts := kept.running()) is not None:
        kernel, bounce = facts.kernel, bounce or facts.bounce
    passed_on = {name: os.environ[name] for name in ("LANG", "TERM", "NO_COLOR") if name in os.environ}
    with opening.guest(warming.wanted(match(kernel or default()), bounce=bounce, least=warming.EXEC), note) as guest:
        status = guest.run(
            argv,
            cwd=Path.cwd(),
            env=least_environment() | passed_on,
            stdout=writer(sys.stdout.fileno()),
            stderr=writer(sys.stderr.fileno()),
            timeout=timeout,
        )
    ctx.exit(status)


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
            "suite": known.suite_of(name),
            "fetched": kernel is not None,
            "release": kernel.release if kernel else None,
            "version": kernel.version if kernel else None,
            "bytes": kernel.size() if kernel else None,
            "default": name == known.default(),
        }
        for name, kernel in known.available().items()
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    from tracer.reports.lab import print_kernels
    from tracer.reports.tables import make_console

    print_kernels(rows, make_console(sys.stdout))
