"""nettrace run MODE: the main job."""

from __future__ import annotations

from pathlib import Path

import click

from tracer.commands.output import emit, exit_code, note
from tracer.errors import MachineError, UsageError
from tracer.model import Experiment, Link, ObserverChoice
from tracer.units import format_size, parse_size

MAX_SIZE, MAX_THREADS = 16 << 20, 64


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


@click.command()
@click.argument("mode")
@click.option("--size", type=Size(), default="16384", show_default=True, help="Bytes of a message: 16384, 16K, 1MiB.")
@click.option(
    "--threads", type=click.IntRange(1, MAX_THREADS), default=1, show_default=True, help="Connections, a thread each."
)
@click.option("--messages", type=click.IntRange(1), help="Messages of each connection. [default: about 128 MiB in all]")
@click.option(
    "--duration",
    type=click.FloatRange(0, 3600, min_open=True),
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
    )
    if save is not None:
        check_writable(save)
    ctx.exit(_run(experiment, port, as_json, save, expect_zerocopy))


def _run(experiment: Experiment, port: int, as_json: bool, save: Path | None, expect_zerocopy: bool) -> int:
    from tracer.analysis import document_of
    from tracer.recording import save as save_recording
    from tracer.runner import record

    recording = record(experiment, note, port=port)
    emit(recording, as_json)
    if save is not None:
        save_recording(recording, save)
        note(f"saved {save}")
    return exit_code(document_of(recording), expect_zerocopy)


def check_writable(path: Path) -> None:
    """Say before the run, not after it, that its result cannot be saved."""
    if not path.parent.is_dir():
        raise MachineError(f"cannot save {path}", f"there is no directory {path.parent}", f"mkdir -p {path.parent}")
