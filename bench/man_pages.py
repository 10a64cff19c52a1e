"""make man: the manual pages and the shells' completion scripts, made of the commands themselves.

docs/man/nettrace.1, a page a verb, and docs/completion/ are in the repository, so that an installation needs nothing to
make them; a test holds them in step with the commands.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import re
from collections.abc import Iterator
from pathlib import Path

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

from tracer.cli import cli

DOCS = Path(__file__).parent.parent / "docs"
PROGRAM = "nettrace"
# Where each shell looks for it, below the prefix of an installation.
SHELLS: dict[str, type[ShellComplete]] = {
    "nettrace.bash": BashComplete, "_nettrace": ZshComplete, "nettrace.fish": FishComplete,
}  # fmt: skip


_WIDE = {"max_content_width": 200}


def files() -> dict[Path, str]:
    """All that is generated: path to text."""
    pages = {DOCS / "man" / f"{name}.1": text for name, text in pages_of(cli, PROGRAM)}
    return pages | {DOCS / "completion" / name: script(shell) for name, shell in SHELLS.items()}


def script(shell: type[ShellComplete]) -> str:
    """What the shell sources: click's own."""
    text = shell(cli, {}, PROGRAM, f"_{PROGRAM.upper()}_COMPLETE").source()
    return "\n".join(line.rstrip() for line in text.strip().splitlines()) + "\n"


def pages_of(command: click.Command, name: str, parent: click.Context | None = None) -> Iterator[tuple[str, str]]:
    """A command's page, then those of its commands."""
    context = click.Context(command, info_name=name, parent=parent, **{**command.context_settings, **_WIDE})
    title = context.command_path.replace(" ", "-")
    yield title, _page(title, command, context)
    if isinstance(command, click.Group):
        for verb in command.list_commands(context):
            found = command.get_command(context, verb)
            assert found is not None
            yield from pages_of(found, verb, context)


def _page(title: str, command: click.Command, context: click.Context) -> str:
    version = importlib.metadata.version("nettrace-copies")
    usage = " ".join(command.collect_usage_pieces(context))
    parts = [
        f'.TH "{title.upper()}" "1" "" "{PROGRAM} {version}" "User Commands"',
        ".SH NAME", f"{_roff(title)} \\- {_roff(command.get_short_help_str(200).rstrip('.'))}",
        ".SH SYNOPSIS", f"\\fB{_roff(context.command_path)}\\fR {_roff(usage)}",
        ".SH DESCRIPTION", _paragraphs(command.help or ""),
        *_definitions("OPTIONS", _options(command, context)),
        *_definitions("COMMANDS", _commands(command, context)),
        *_definitions("MODES", list(getattr(command, "modes", ()))),
        ".SH EXIT STATUS", _roff(_exit_codes()),
        ".SH SEE ALSO", ", ".join(_others(title, command, context)),
    ]  # fmt: skip
    return "\n".join(parts) + "\n"


def _roff(text: str) -> str:
    """Text that roff takes as it stands; a hyphen is one that can be searched for and copied."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("\N{HORIZONTAL ELLIPSIS}", "...")
    return re.sub(r"^([.'])", r"\\&\1", escaped, flags=re.MULTILINE)


def _paragraphs(text: str) -> str:
    """Blank lines part paragraphs; all other breaks are of the source."""
    return "\n.PP\n".join(_roff(" ".join(part.split())) for part in re.split(r"\n\s*\n", text.replace("\b", "")))


def _definitions(heading: str, pairs: list[tuple[str, str]]) -> list[str]:
    told = [line for term, words in pairs for line in (".TP", f"\\fB{_roff(term)}\\fR", _paragraphs(words))]
    return [f".SH {heading}", *told] if pairs else []


def _options(command: click.Command, context: click.Context) -> list[tuple[str, str]]:
    """An argument is told of in the description."""
    options = (parameter for parameter in command.get_params(context) if isinstance(parameter, click.Option))
    return [record for option in options if (record := option.get_help_record(context)) is not None]


def _commands(command: click.Command, context: click.Context) -> list[tuple[str, str]]:
    if not isinstance(command, click.Group):
        return []
    verbs = {name: command.get_command(context, name) for name in command.list_commands(context)}
    return [(name, verb.get_short_help_str(200)) for name, verb in verbs.items() if verb]


def _exit_codes() -> str:
    """As the help says it."""
    return (cli.epilog or "").removeprefix("Exit codes: ").partition(" Start with")[0]


def _others(title: str, command: click.Command, context: click.Context) -> list[str]:
    """The page above, and those below."""
    above = [title.rpartition("-")[0]] if context.parent else []
    below = [f"{title}-{name}" for name in command.list_commands(context)] if isinstance(command, click.Group) else []
    return [f"\\fB{_roff(name)}\\fR(1)" for name in (*above, *below)]


def main() -> None:
    argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0]).parse_args()
    wanted = files()
    for directory in {path.parent for path in wanted}:
        directory.mkdir(exist_ok=True)
        for path in set(directory.iterdir()) - set(wanted):
            path.unlink()
    for path, text in wanted.items():
        path.write_text(text)


if __name__ == "__main__":
    main()
