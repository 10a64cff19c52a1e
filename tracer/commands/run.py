"""nettrace run MODE: the main job."""

from __future__ import annotations

import math
from pathlib import Path

import click

from tracer.commands.every_kernel import ALL, run_on_every_kernel
from tracer.commands.output import emit, exit_code, note
from tracer.commands.recorder import lab_option_of, setup_option
from tracer.errors import MachineError, UsageError
from tracer.model import Experiment, Link, ObserverChoice
from tracer.units import format_size, parse_size

MAX_SIZE, MAX_THREADS, MAX_MESSAGES, MAX_DURATION_S = 16 << 20, 64, 1 << 40, 3600


class Size(click.ParamType):  # type: ignore[type-arg]
    """1 B to 16 MiB, as 16384, 16K or 64KiB."""

    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Bytes; a bad or out-of-range size is a usage error that quotes the user."""
        try:
            size = parse_size(str(value))
        except UsageError as error:
            self.fail(f"{error.what}: {error.why} ({error.fix}).", param, ctx)
        if not 1 <= size <= MAX_SIZE:
            self.fail(
                f"'{value}' is {size} bytes; a message has 1 to {MAX_SIZE} ({format_size(MAX_SIZE)}).", param, ctx
            )
        return size


class Seconds(click.FloatRange):
    """More than 0, at most an hour; "nan", which compares with nothing, is refused too."""

    def __init__(self) -> None:
        super().__init__(0, MAX_DURATION_S, min_open=True)

    def convert(self, value: float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds."""
        seconds = float(super().convert(value, param, ctx))
        if math.isnan(seconds):
            self.fail(f"'{value}' is not a time in seconds.", param, ctx)
        return seconds


@click.command()
@click.argument("mode")
@click.option("--size", type=Size(), default="16384", show_default=True, help="Bytes of a message: 16384, 16K, 1MiB.")
@click.option(
    "--threads", type=click.IntRange(1, MAX_THREADS), default=1, show_default=True, help="Connections, a thread each."
)
@click.option(
    "--messages",
    type=click.IntRange(1, MAX_MESSAGES),
    help="Messages of each connection. [default: about 128 MiB in all]",
)
@click.option(
    "--duration",
    type=Seconds(),
    help="Seconds that the bare pass sends, instead of --messages.",
)
@click.option("--link", type=click.Choice([link.value for link in Link]), default="lo", show_default=True)
@click.option(
    "--observer",
    type=click.Choice([choice.value for choice in ObserverChoice]),
    default="auto",
    show_default=True,
    help="What watches the kernel.",
)
@lab_option_of(every=True, more=", or on all of them")
@setup_option
@click.option("--peer", metavar="HOST:PORT", help="A `nettrace serve` on another machine, for --link nic.")
@click.option("--no-sg", is_flag=True, help="Switch the NIC's scatter-gather off for the run.")
@click.option("--bounce", is_flag=True, help="Boot the lab with swiotlb=force: every DMA through a bounce buffer.")
@click.option("--stacks", is_flag=True, help="Collect the kernel stacks that led to each copy.")
@click.option("--counters", is_flag=True, help="Count cycles, switches, misses of the bare pass with perf stat.")
@click.option("--profile", is_flag=True, help="Sample the CPUs in a third pass: CPU time by stage.")
@click.option(
    "--folded",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the profile's stacks for a flame graph; implies --profile.",
)
@click.option(
    "--copy-stacks",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the stacks of --stacks folded, with their bytes, for a flame graph; implies it.",
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port of the receiver. [default: any free one]")
@click.option("--verify", is_flag=True, help="The receiver checks every byte; slower.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of the report.")
@click.option(
    "--save", type=click.Path(path_type=Path, dir_okay=False), help="Save the recording, for nettrace report."
)
@click.option("--expect-zerocopy", is_flag=True, help="Exit with 1 unless zero-copy was real.")
@click.pass_context
def command(
    ctx: click.Context,
    mode: str,
    size: int,
    threads: int,
    messages: int | None,
    duration: float | None,
    link: str,
    observer: str,
    lab: str | None,
    setup: list[str],
    peer: str | None,
    no_sg: bool,
    bounce: bool,
    stacks: bool,
    copy_stacks: Path | None,
    counters: bool,
    profile: bool,
    folded: Path | None,
    port: int,
    verify: bool,
    as_json: bool,
    save: Path | None,
    expect_zerocopy: bool,
) -> None:
    """Send a payload in MODE (twocopy, onecopy, zerocopy) and show where every byte was copied.

    The same work is done twice: a bare pass for time and CPU, an observed pass for bytes.
    """
    from workloads import mode as find_mode

    if messages is not None and duration is not None:
        raise UsageError("--messages and --duration exclude each other", "both say how much to send", "give one")
    experiment = Experiment(
        mode=find_mode(mode).name,
        size=size,
        threads=threads,
        messages=messages,
        duration_s=duration,
        link=Link(link),
        observer=ObserverChoice(observer),
        verify=verify,
        scatter_gather=not no_sg,
        bounce=bounce,
        stacks=stacks or copy_stacks is not None,
        counters=counters,
        profile=profile or folded is not None,
        peer=peer,
        lab=lab,
        setup=setup,
    )
    check_link(experiment)
    for path in (save, folded, copy_stacks):
        if path is not None:
            check_writable(path)
    if lab == ALL:
        given = {"--save": save, "--folded": folded, "--copy-stacks": copy_stacks}
        for option in (option for option, path in given.items() if path is not None):
            raise UsageError(f"{option} holds one recording", "--lab all makes one for each kernel", "name one kernel")
        ctx.exit(run_on_every_kernel(experiment, as_json, expect_zerocopy))
    ctx.exit(_run(experiment, port, as_json, save, folded, copy_stacks, expect_zerocopy))


def _run(
    experiment: Experiment,
    port: int,
    as_json: bool,
    save: Path | None,
    folded: Path | None,
    copy_stacks: Path | None,
    expect_zerocopy: bool,
) -> int:
    from tracer.books.analysis import document_of
    from tracer.books.recording import save as save_recording
    from tracer.commands.recorder import record

    recording = record(experiment, note, port=port)
    try:
        emit(recording, as_json)
    finally:
        # Also after `nettrace run --save FILE | head -1`; and not before, because a full disk costs the file alone.
        if save is not None:
            save_recording(recording, save)
            note(f"saved {save}")
        if folded is not None and recording.profile is not None:
            from tracer.reports.costs import folded_text

            _write_folded(folded_text(recording.profile), folded)
        if copy_stacks is not None:
            from tracer.reports.stacks import folded_copies

            _write_folded(folded_copies(document_of(recording)), copy_stacks)
    return exit_code(document_of(recording), expect_zerocopy)


def _write_folded(text: str, path: Path) -> None:
    from tracer.books.recording import give_to_invoking_user

    try:
        path.write_text(text)
        give_to_invoking_user(path)
    except OSError as error:
        raise MachineError(f"cannot write {path}", error.strerror or str(error), "choose another file") from error
    note(f"wrote {path}, for a flame graph")


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


def check_writable(path: Path) -> None:
    """Say before the run, not after it, that its result cannot be saved."""
    if not path.parent.is_dir():
        raise MachineError(f"cannot save {path}", f"there is no directory {path.parent}", f"mkdir -p {path.parent}")
