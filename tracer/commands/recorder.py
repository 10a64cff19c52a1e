"""Where an experiment is done: on this machine's own kernel, or in the lab."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tracer.commands.output import note

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracer.model import Experiment, Recording


class LabKernel(click.ParamType):  # type: ignore[type-arg]
    """Name of a lab kernel; the option may stand alone.

    Args:
        every: "all" is allowed too.
    """

    name = "kernel"

    def __init__(self, *, every: bool = False) -> None:
        self._every = every

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The series; `--lab zerocopy` is a usage error that says what happened."""
        from tracer.errors import UsageError
        from tracer.lab.kernels import default, match

        if self._every and value == "all":
            return "all"
        try:
            return match(default() if value == "default" else str(value))
        except UsageError as error:
            return self.fail(f"{error.what}: {error.why}. Without a kernel, write --lab last.", param, ctx)


def lab_option_of(*, every: bool, more: str = "") -> Callable[[Any], Any]:
    """The option --lab.

    Args:
        every: "all" is allowed too, and `more` says so.
    """
    return click.option(
        "--lab",
        type=LabKernel(every=every),
        is_flag=False,
        flag_value="default",
        metavar="[KERNEL]",
        help=f"Run it in a virtual machine with Debian's kernel 6.1, 6.12 (default) or 7.2{more}.",
    )


lab_option = lab_option_of(every=False)

setup_option = click.option(
    "--setup",
    metavar="COMMAND",
    multiple=True,
    help="With --lab: run this in the guest before the passes, e.g. 'ethtool -K eth0 tso off'. Repeatable.",
)


def record(
    experiment: Experiment, progress: Callable[[str], None] = note, *, port: int = 0, observed: bool = True
) -> Recording:
    """Do the experiment where it says.

    Raises:
        UsageError: it wants to change this very machine.
    """
    if experiment.lab is not None:
        from tracer.runs.in_lab import record as record_in_lab

        return record_in_lab(experiment, progress, port=port, observed=observed)
    if experiment.setup:
        from tracer.errors import UsageError

        raise UsageError("--setup needs --lab", "it would change this very machine", "add --lab")
    from tracer.runs.runner import record as record_here

    return record_here(experiment, progress, port=port, observed=observed)


def record_run(experiment: Experiment, observed: bool) -> Recording:
    """One run of a sweep; nobody listens to its progress."""
    return record(experiment, lambda _: None, observed=observed)
