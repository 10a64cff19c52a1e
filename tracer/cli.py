"""The command line: finds the verb, turns errors into three lines and an exit code. Imports nothing heavy."""

from __future__ import annotations

import difflib
import importlib
import os
import signal
import sys
from types import FrameType
from typing import Any

import click

from tracer.errors import EXIT_INTERRUPTED, EXIT_OK, EXIT_USAGE, MachineError, NettraceError

# One module of tracer.commands a verb; imported when it is called, or listed by --help.
_VERBS = {
    "run": "Send a payload in one mode and show where every byte was copied.",
    "record": "Run a program of yours and show where its payload bytes were copied.",
    "compare": "Show the modes side by side at one size, and which one wins.",
    "sweep": "Run all modes at all sizes and numbers of threads, several times.",
    "plot": "Draw a sweep.",
    "claims": "Settle the claims of the study that nettrace started from.",
    "report": "Show a recording made with --save.",
    "doctor": "Check what this machine allows, and say how to fix what is missing.",
    "probes": "List the kernel functions that nettrace watches, and how.",
    "serve": "Receive what --link nic --peer sends.",
    "lab": "Run other kernels in a virtual machine.",
    "schema": "Print the JSON Schema of a recording.",
}

_ENDING = (signal.SIGINT, signal.SIGTERM)
_SOON_S = 0.01


class LazyGroup(click.Group):
    """Imports a verb's module only when that verb is used: --help must not wait for BCC and its like."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """All verbs, in the order of a first visit."""
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The verb's command, imported now."""
        if cmd_name not in _VERBS:
            return None
        module = importlib.import_module(f"tracer.commands.{cmd_name}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with the near miss named."""
        if args and not args[0].startswith("-") and args[0] not in _VERBS:
            near = difflib.get_close_matches(args[0], _VERBS, 1)
            hint = f" Did you mean '{near[0]}'?" if near else f" Commands: {', '.join(_VERBS)}."
            ctx.fail(f"No such command '{args[0]}'.{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The list of verbs, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(_VERBS.items()))


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done; 1 an expectation failed; 2 usage; 3 missing privilege; 4 this machine cannot; "
    "5 measured but untrustworthy; 130 interrupted. Start with: nettrace run zerocopy --size 16384",
)
@click.version_option(package_name="nettrace-copies")
def cli() -> None:
    """Where are my payload bytes really copied on their way through TCP, and what does it cost?"""


def main() -> None:
    """Entry point of the `nettrace` command."""
    for number in _ENDING:
        signal.signal(number, _interrupt)
    sys.unraisablehook = _raise_again
    try:
        code = cli.main(prog_name="nettrace", standalone_mode=False)
        _flush(code if isinstance(code, int) else EXIT_OK)
    except click.exceptions.Exit as stop:
        _flush(stop.exit_code)
    except click.ClickException as error:
        error.show()
        _flush(EXIT_USAGE)
    except NettraceError as error:
        click.echo(error, err=True)
        _flush(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        _flush(EXIT_INTERRUPTED)
    except BrokenPipeError:
        _close_pipe()
    except (MemoryError, OSError) as error:
        click.echo(MachineError("the operating system refused", str(error), "see: nettrace doctor"), err=True)
        _flush(MachineError.exit_code)


def _interrupt(_signal: int, _frame: FrameType | None) -> Any:
    """SIGTERM ends a run as SIGINT does: all undone, the partial result printed.

    Once only: the second Ctrl-C of an impatient user must not cut the undoing short.
    """
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _raise_again(unraisable: Any) -> None:
    """An interrupt that came inside of a destructor, where Python can only drop it: it comes again a moment later."""
    if not issubclass(unraisable.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(unraisable)
        return
    # Not at once: that would be inside of this hook, and be dropped as well.
    signal.signal(signal.SIGALRM, _interrupt)
    signal.setitimer(signal.ITIMER_REAL, _SOON_S)


def _flush(code: int) -> None:
    """Leave; output that cannot be written any more (a full disk, a closed pipe) is an error too."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _close_pipe()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        click.echo(MachineError("cannot write the output", error.strerror or str(error)), err=True)
        sys.exit(MachineError.exit_code)
    sys.exit(code)


def _close_pipe() -> None:
    """`nettrace ... | head` ends quietly; Python's own flush at exit must not complain either."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(EXIT_OK)
