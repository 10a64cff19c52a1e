"""The command line: finds the verb, turns errors into three lines and an exit code. Imports nothing heavy."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
import tempfile
import traceback

import click

from tracer.errors import EXIT_INTERRUPTED, EXIT_OK, EXIT_USAGE, Bug, MachineError, NettraceError
from tracer.machine.interrupts import interrupts
from tracer.machine.users import give_to_invoking_user

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
    "5 measured but untrustworthy; 70 a bug in nettrace; 130 interrupted. "
    "Start with: nettrace run zerocopy --size 16384",
)
@click.version_option(package_name="nettrace-copies")
def cli() -> None:
    """Where are my payload bytes really copied on their way through TCP, and what does it cost?"""


def main() -> None:
    """Entry point of the `nettrace` command."""
    interrupts.install()
    try:
        code = run(sys.argv[1:])
    except KeyboardInterrupt:  # while something else was being told
        code = _interrupted()
    code = _flush(code)
    interrupts.ignore()
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Do what the arguments say, and tell what goes wrong on stderr; the exit code."""
    try:
        code = cli.main(arguments, prog_name="nettrace", standalone_mode=False)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        error.show()
        return EXIT_USAGE
    except NettraceError as error:
        return _tell(error)
    except (KeyboardInterrupt, click.Abort):
        return _interrupted()
    except BrokenPipeError:
        return _close_pipe()
    except (MemoryError, OSError) as error:
        return _tell(MachineError("the operating system refused", str(error), "see: nettrace doctor"))
    except Exception as error:
        return _tell(_bug(error))
    return code if isinstance(code, int) else EXIT_OK


def _tell(error: NettraceError) -> int:
    click.echo(error, err=True)
    return error.exit_code


def _interrupted() -> int:
    click.echo("interrupted", err=True)
    return EXIT_INTERRUPTED


def _bug(error: Exception) -> Bug:
    """Exit code 1 would say that an expectation failed; a traceback is for whoever mends it."""
    told = f"{type(error).__name__}: {error}"
    return Bug("a bug in nettrace", told, f"please report it, with {_written(error)}")


def _written(error: Exception) -> str:
    """Where the traceback is; itself, where no file can be written."""
    text = "".join(traceback.format_exception(error))
    try:
        with tempfile.NamedTemporaryFile("w", prefix="nettrace-bug-", suffix=".txt", delete=False) as file:
            file.write(f"nettrace {' '.join(sys.argv[1:])}\n{text}")
            give_to_invoking_user(file.fileno())
    except (OSError, ValueError, NettraceError):
        return f"this:\n{text}"
    return file.name


def _flush(code: int) -> int:
    """Output that cannot be written any more (a full disk, a closed pipe) is an error too."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        return _close_pipe()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return _tell(MachineError("cannot write the output", error.strerror or str(error)))
    return code


def _close_pipe() -> int:
    """`nettrace ... | head` ends quietly; Python's own flush at exit must not complain either."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return EXIT_OK
