"""Where an experiment is done: on this machine's own kernel, or in the lab."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tracer.commands.output import note

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracer.model import Experiment, Recording


class LabKernel(click.ParamType):  # type: ignore[type-arg]
    """Name of a lab kernel; the option may stand alone."""

    name = "kernel"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The series; `--lab zerocopy` is a usage error that says what happened."""
        from tracer.errors import UsageError
        from tracer.lab.kernels import match

        try:
            return match(str(value))
        except UsageError as error:
            return self.fail(f"{error.what}: {error.why}. Without a kernel, write --lab last.", param, ctx)


lab_option = click.option(
    "--lab",
    type=LabKernel(),
    is_flag=False,
    flag_value="6.12",
    metavar="[KERNEL]",
    help="Run it in a virtual machine with Debian's kernel 6.1, 6.12 (default) or 7.2.",
)


def record(
    experiment: Experiment, progress: Callable[[str], None] = note, *, port: int = 0, observed: bool = True
) -> Recording:
    """Do the experiment where it says."""
    if experiment.lab is not None:
        from tracer.runs.in_lab import record as record_in_lab

        return record_in_lab(experiment, progress, port=port, observed=observed)
    from tracer.runs.runner import record as record_here

    return record_here(experiment, progress, port=port, observed=observed)


def record_run(experiment: Experiment, observed: bool) -> Recording:
    """One run of a sweep; nobody listens to its progress."""
    return record(experiment, lambda _: None, observed=observed)
