"""nettrace run MODE: the main job."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from tracer.commands.options import (
    MAX_MESSAGES,
    Seconds,
    json_option,
    lab_option,
    link_option,
    observer_option,
    peer_option,
    size_option,
    threads_option,
)
from tracer.commands.output import emit, exit_code, note
from tracer.errors import UsageError
from tracer.model import Document, Experiment, Link, ObserverChoice


@dataclass(frozen=True)
class Asked:
    """What the command line asks for.

    Args:
        port: Port of the receiver; 0 takes any free one.
        save: Where the recording goes.
        folded: Where the CPU profile's stacks go.
        copy_stacks: Where the stacks of the copies go.
    """

    experiment: Experiment
    port: int
    as_json: bool
    save: Path | None
    folded: Path | None
    copy_stacks: Path | None
    expect_zerocopy: bool

    @classmethod
    def parsed(cls, mode: str, given: dict[str, Any]) -> Asked:
        """From the options as click gives them, by their names.

        Raises:
            UsageError: options that exclude each other, or that only another link or machine could honour.
        """
        from tracer.machine.files import require_writable

        outputs = {name: given.pop(name) for name in ("save", "folded", "copy_stacks")}
        others = {name: given.pop(name) for name in ("port", "as_json", "expect_zerocopy")}
        asked = cls(experiment=_experiment(mode, given, outputs), **outputs, **others)
        _check(asked)
        for path in filter(None, outputs.values()):
            require_writable(path)
        return asked


def _experiment(mode: str, given: dict[str, Any], outputs: dict[str, Path | None]) -> Experiment:
    from workloads import mode as find_mode

    return Experiment(
        mode=find_mode(mode).name,
        duration_s=given.pop("duration"),
        link=Link(given.pop("link")),
        observer=ObserverChoice(given.pop("observer")),
        scatter_gather=not given.pop("no_sg"),
        stacks=given.pop("stacks") or outputs["copy_stacks"] is not None,
        profile=given.pop("profile") or outputs["folded"] is not None,
        **given,
    )


_file = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("mode")
@size_option
@threads_option
@click.option(
    "--messages",
    type=click.IntRange(1, MAX_MESSAGES),
    help="Messages of each connection. [default: about 128 MiB in all, in the lab 4 MiB]",
)
@click.option("--duration", type=Seconds(), help="Seconds that the bare pass sends, instead of --messages.")
@link_option
@observer_option("What watches the kernel.")
@lab_option
@peer_option
@click.option("--no-sg", is_flag=True, help="Switch the NIC's scatter-gather off for the run.")
@click.option("--bounce", is_flag=True, help="Boot the lab with swiotlb=force: every DMA through a bounce buffer.")
@click.option("--stacks", is_flag=True, help="Collect the kernel stacks that led to each copy.")
@click.option("--counters", is_flag=True, help="Count cycles, switches, misses of the bare pass with perf stat.")
@click.option("--profile", is_flag=True, help="Sample the CPUs in a third pass: CPU time by stage.")
@click.option("--folded", type=_file, help="Write the profile's stacks for a flame graph; implies --profile.")
@click.option(
    "--copy-stacks",
    type=_file,
    help="Write the stacks of --stacks folded, with their bytes, for a flame graph; implies it.",
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port of the receiver. [default: any free one]")
@click.option("--verify", is_flag=True, help="The receiver checks every byte; slower.")
@json_option
@click.option("--save", type=_file, help="Save the recording, for nettrace report.")
@click.option("--expect-zerocopy", is_flag=True, help="Exit with 1 unless zero-copy was real.")
@click.pass_context
def command(ctx: click.Context, /, mode: str, **given: Any) -> None:
    """Send a payload in MODE (twocopy, onecopy, zerocopy) and show where every byte was copied.

    The same work is done twice: a bare pass for time and CPU, an observed pass for bytes.
    """
    ctx.exit(_run(Asked.parsed(mode, given)))


def _run(asked: Asked) -> int:
    from tracer.books.analysis import document_of
    from tracer.runs.dispatch import record

    document = document_of(record(asked.experiment, note, port=asked.port))
    try:
        emit(document, asked.as_json)
    finally:
        # Also after `nettrace run --save FILE | head -1`; and not before, because a full disk costs the file alone.
        _write_files(document, asked)
    return exit_code(document, asked.expect_zerocopy)


def _write_files(document: Document, asked: Asked) -> None:
    from tracer.machine.files import write_file
    from tracer.machine.recordings import save

    if asked.save is not None:
        save(document, asked.save)
        note(f"saved {asked.save}")
    folded = {}
    if asked.folded is not None and document.profile is not None:
        from tracer.reports.costs import folded_text

        folded[asked.folded] = folded_text(document.profile)
    if asked.copy_stacks is not None:
        from tracer.reports.stacks import folded_copies

        folded[asked.copy_stacks] = folded_copies(document)
    for path, text in folded.items():
        write_file(path, text.encode())
        note(f"wrote {path}, for a flame graph")


def _check(asked: Asked) -> None:
    """Refuse what would be ignored: each option is honoured, or its refusal says why."""
    experiment = asked.experiment
    check_link(experiment)
    far = experiment.link is Link.NIC and experiment.peer is not None
    refusals = (
        (experiment.messages is not None and experiment.duration_s is not None,
            "--messages and --duration exclude each other", "both say how much to send", "give one"),
        (experiment.verify and far, "--verify needs a receiver of this run's own",
            "`nettrace serve` reads and counts, and does not know what was sent", "leave it out"),
        (experiment.verify and experiment.link is Link.NIC, "--verify needs a receiver of this run's own",
            "on link nic it is a plain one, at the other end", "--link lo --verify, or veth"),
        (bool(asked.port) and far, "--port and --peer exclude each other", "the peer's own port is in --peer",
            "leave out --port"),
        (bool(asked.port) and experiment.lab is not None and experiment.link is not Link.NIC,
            "--port has no use in the lab's own namespaces", "nobody else listens there", "leave out --port"),
        (experiment.stacks and experiment.observer is ObserverChoice.TRACEPOINTS,
            "--stacks needs function probes", "tracepoints have no stack of the copy", "--observer auto, or --lab"),
    )  # fmt: skip
    for refused, what, why, fix in refusals:
        if refused:
            raise UsageError(what, why, fix)


def check_link(experiment: Experiment) -> None:
    """Refuse what only another link, or another machine, could do."""
    if experiment.link is not Link.NIC:
        asked = {"--no-sg": not experiment.scatter_gather, "--peer": experiment.peer is not None}
        for option in (option for option, given in asked.items() if given):
            raise UsageError(
                f"{option} needs a network device", f"link {experiment.link} has none", f"--link nic {option}"
            )
    if experiment.link is Link.NIC and experiment.peer is None and experiment.lab is None:
        raise UsageError(
            "link nic needs a receiver on another machine",
            "looped packets never reach a device",
            "--lab, which has both; or `nettrace serve` there and --peer HOST:PORT here",
        )
    if experiment.bounce and experiment.lab is None and "swiotlb=force" not in Path("/proc/cmdline").read_text():
        raise UsageError("--bounce needs a machine booted with swiotlb=force", "this one was not", "--bounce --lab")
