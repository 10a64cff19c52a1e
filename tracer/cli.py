"""The command line: finds the verb, turns errors into three lines and an exit code. Imports nothing heavy."""

from __future__ import annotations

import contextlib
import errno
import importlib
import sys
import tempfile
import traceback

import click

from tracer.commands.usage import Verbs, usage_error
from tracer.errors import EXIT_INTERRUPTED, EXIT_OK, EXIT_USAGE, Bug, MachineError, NettraceError, reason_of
from tracer.machine import streams
from tracer.machine.interrupts import interrupts
from tracer.machine.limits import with_limits
from tracer.machine.users import give_to_invoking_user

# One module of tracer.commands a verb; imported when it is called, or listed by --help.
_VERBS = {
    "run": "Send a payload in one mode and show where every byte was copied.",
    "record": "Run a program of yours and show where its payload bytes were copied.",
    "attach": "Watch what runs already, and show where its payload bytes are copied.",
    "live": "Show it each second, of what runs, of a program of yours, or of a recording.",
    "compare": "Show the modes side by side at one size, and which one wins.",
    "sweep": "Run all modes at all sizes and numbers of threads, several times.",
    "plot": "Draw a sweep, or what record wrote.",
    "claims": "Settle the claims of the study that nettrace started from.",
    "report": "Show a recording made with --save.",
    "explain": "Explain the way of a byte through the kernel, with what was counted at each step.",
    "diff": "Show two recordings side by side.",
    "doctor": "Check what this machine allows, and say how to fix what is missing.",
    "probes": "List the kernel functions that nettrace watches, and how.",
    "serve": "Receive what --link nic --peer sends.",
    "lab": "Run other kernels in a virtual machine.",
    "schema": "Print the JSON Schema of a recording.",
}


class LazyGroup(Verbs):
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

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The list of verbs, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(_VERBS.items()))


def _show_versions(ctx: click.Context, param: click.Parameter, asked: bool) -> None:  # noqa: ARG001
    if asked and not ctx.resilient_parsing:
        from tracer.machine.versions import versions

        click.echo("\n".join(versions()))
        ctx.exit()


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done; 1 an expectation failed; 2 usage; 3 missing privilege; 4 this machine cannot; "
    "5 measured but untrustworthy; 70 a bug in nettrace; 130 interrupted; Ctrl-C ends attach, live and serve with 0. "
    "Start with: nettrace run zerocopy --size 16384",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_versions,
    help="Show the versions that a bug report needs.",
)
def cli() -> None:
    """Where are my payload bytes really copied on their way through TCP, and what does it cost?"""


def main() -> None:
    """Entry point of the `nettrace` command."""
    streams.make_fit()
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
        code = cli.main(arguments, prog_name="nettrace", standalone_mode=False, obj=tuple(arguments))
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        _say(error.format_message())
        return EXIT_USAGE
    except click.ClickException as error:
        return _tell(usage_error(error, " ".join(["nettrace", *arguments[:1]])))
    except NettraceError as error:
        return _tell(with_limits(error) or error)
    except (KeyboardInterrupt, click.Abort):
        return _interrupted()
    except (BrokenPipeError, SystemExit):
        # click makes sys.exit(1) of EPIPE, standalone or not; 1 is ours for an expectation that failed.
        return _close_pipe()
    except (MemoryError, OSError) as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC and error.filename is None:
            return _tell(_unwritable(error))  # files are written by those who name them
        refused = MachineError("the operating system refused", reason_of(error), "see: nettrace doctor")
        return _tell(with_limits(error) or refused)
    except Exception as error:
        return _tell(with_limits(error) or _bug(error))
    return code if isinstance(code, int) else EXIT_OK


def _tell(error: NettraceError) -> int:
    _say(str(error))
    return error.exit_code


def _say(text: str) -> None:
    """The exit code stands, also where nobody can be told."""
    with contextlib.suppress(OSError):
        click.echo(text, err=True)


def _interrupted() -> int:
    _say("interrupted")
    return EXIT_INTERRUPTED


def _bug(error: Exception) -> Bug:
    """Exit code 1 would say that an expectation failed; a traceback is for whoever mends it."""
    told = f"{type(error).__name__}: {error}"
    return Bug("a bug in nettrace", told, f"please report it, with {_written(error)}")


def _written(error: Exception) -> str:
    """Where the traceback is; itself, where no file can be written."""
    text = "".join(traceback.format_exception(error))
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="nettrace-bug-", suffix=".txt", delete=False, encoding="utf-8", errors="backslashreplace"
        ) as file:
            file.write(f"nettrace {' '.join(sys.argv[1:])}\n{text}")
            give_to_invoking_user(file.fileno())
    except (OSError, ValueError, NettraceError):
        return f"this:\n{text}"
    return file.name


def _flush(code: int) -> int:
    """Output that cannot be written any more (a full disk, a closed pipe) is an error too."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        code = _close_pipe()
    except OSError as error:
        streams.discard(1)
        code = _tell(_unwritable(error))
    try:
        sys.stderr.flush()
    except OSError:
        streams.discard(2)
    return code


def _unwritable(error: OSError) -> MachineError:
    return MachineError("cannot write the output", reason_of(error), "free some space, or send it elsewhere")


def _close_pipe() -> int:
    """`nettrace ... | head` ends quietly."""
    streams.discard(1)
    return EXIT_OK
