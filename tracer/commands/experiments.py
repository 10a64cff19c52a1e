"""The options that say what is sent, for the verbs that do one experiment, and the experiment that they make."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from tracer.commands.options import (
    MAX_MESSAGES,
    Seconds,
    lab_option_of,
    link_option,
    observer_option,
    peer_option,
    settings_options,
    setup_option,
    size_option,
    threads_option,
)
from tracer.model import Experiment, Link, ObserverChoice


def experiment_options(*, every: bool) -> Callable[[Any], Any]:
    """All of them, in the order of the help.

    Args:
        every: --lab all is allowed too.
    """
    options = (
        size_option,
        threads_option,
        click.option(
            "--messages",
            type=click.IntRange(1, MAX_MESSAGES),
            help="Messages of each connection. [default: about 128 MiB in all, in the lab 4 MiB]",
        ),
        click.option("--duration", type=Seconds(), help="Seconds that the bare pass sends, instead of --messages."),
        link_option,
        settings_options,
        observer_option("What watches the kernel."),
        lab_option_of(every=every, more=", or on all of them" if every else ""),
        setup_option,
        peer_option,
        click.option("--no-sg", is_flag=True, help="Switch the NIC's scatter-gather off for the run."),
        click.option(
            "--bounce", is_flag=True, help="Boot the lab with swiotlb=force: every DMA through a bounce buffer."
        ),
    )  # fmt: skip

    def with_options(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return with_options


def experiment_of(mode: str, given: dict[str, Any]) -> Experiment:
    """What these options ask for, by their names as click gives them; what else is there is a field of its own.

    Raises:
        UsageError: there is no such mode.
    """
    from tracer.books.modes import mode as find_mode

    return Experiment(
        mode=find_mode(mode).name,
        duration_s=given.pop("duration"),
        link=Link(given.pop("link")),
        observer=ObserverChoice(given.pop("observer")),
        scatter_gather=not given.pop("no_sg"),
        **given,
    )
