"""Completion in real shells, by the scripts that are shipped; manual pages; both in step with the commands."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from bench import man_pages
from tests.command import DEADLINE_S, ROOT, needs
from tracer.books.modes import NAMES
from tracer.cli import cli
from tracer.commands.completing import complete_pids, complete_subjects
from tracer.machine.running import processes

SCRIPTS = ROOT / "docs" / "completion"
HELP = {"-h", "--help"}
CONTEXT, ARGUMENT = click.Context(cli, **cli.context_settings), click.Argument(["subject"])


def verbs(command: click.Command = cli, name: str = "nettrace") -> dict[str, click.Command]:
    """Every command by the name of its page."""
    found = {name: command}
    if isinstance(command, click.Group):
        for verb in command.list_commands(CONTEXT):
            below = command.get_command(CONTEXT, verb)
            assert below is not None
            found |= verbs(below, f"{name}-{verb}")
    return found


def test_there_is_a_page_for_every_verb_and_no_other() -> None:
    """`make man` writes them anew."""
    assert {path.stem for path in (ROOT / "docs" / "man").iterdir()} == set(verbs())


@pytest.mark.parametrize(("name", "command"), verbs().items(), ids=list(verbs()))
def test_a_page_has_the_options_and_texts_of_its_verb(name: str, command: click.Command) -> None:
    """All of them, and none that is gone; how a type is written is click's, and changes with it."""
    page = (ROOT / "docs" / "man" / f"{name}.1").read_text().replace("\\-", "-").replace("\\&", "").replace("\\e", "\\")
    options = [one for one in command.get_params(CONTEXT) if isinstance(one, click.Option) and not one.hidden]
    terms = re.findall(r"^\.TP\n\\fB(.*?)\\fR$", page.partition(".SH OPTIONS")[2], re.MULTILINE)

    told = {word.strip(",") for term in terms for word in term.split() if word.startswith("-")}
    # Of the help click remembers the names that the first context which asked for it had.
    assert told - HELP == {name for option in options for name in (*option.opts, *option.secondary_opts)} - HELP
    assert [one.help for one in options if one.help and " ".join(one.help.split()) not in " ".join(page.split())] == []
    assert " ".join((command.help or "").split("\n\n")[0].split()) in " ".join(page.split())


@needs("mandoc")
@pytest.mark.system
@pytest.mark.parametrize("name", verbs())
def test_a_page_is_good_roff(name: str) -> None:
    """Nothing of a text is taken for a command."""
    path = ROOT / "docs" / "man" / f"{name}.1"
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "error", path], capture_output=True, text=True, check=False)

    assert done.stdout == ""


@pytest.mark.parametrize("name", man_pages.SHELLS)
def test_the_shipped_scripts_are_clicks_own(name: str) -> None:
    """They ask the program: what they complete is always up to date."""
    text = (SCRIPTS / name).read_text()

    assert "_NETTRACE_COMPLETE" in text
    assert man_pages.PROGRAM in text


def test_what_can_be_explained_is_completed() -> None:
    """Modes and words by their beginning; where there are none, files."""
    words = [item.value for item in complete_subjects(CONTEXT, ARGUMENT, "zero")]
    files = complete_subjects(CONTEXT, ARGUMENT, "./run")

    assert words == [*(name for name in NAMES if name.startswith("zero")), "zerocopy-ignored"]
    assert [item.type for item in files] == ["file"]


@pytest.mark.system
def test_processes_are_completed_with_their_names() -> None:
    """Those that can be attached to: the kernel's threads and this one are none."""
    found = {item.value: item.help for item in complete_pids(CONTEXT, ARGUMENT, "")}

    assert str(os.getppid()) in found
    assert str(os.getpid()) not in found
    assert found[str(os.getppid())] == dict(processes())[os.getppid()]


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A PATH on which this tree is nettrace."""
    program = tmp_path / "nettrace"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m tracer "$@"\n')
    program.chmod(0o755)
    return f"{tmp_path}:{os.environ['PATH']}"


class Terminal:
    """An interactive shell on a terminal of its own."""

    def __init__(self, words: list[str], path: str) -> None:
        self._controller, terminal = pty.openpty()
        environment = {"PATH": path, "TERM": "xterm", "HOME": "/nonexistent", "PS1": "", "COLUMNS": "200"}
        self._process = subprocess.Popen(
            words, stdin=terminal, stdout=terminal, stderr=terminal, env=environment, cwd=ROOT, start_new_session=True
        )
        os.close(terminal)

    def type(self, text: str, awaited: str) -> str:
        """What comes after it, until this was seen."""
        os.write(self._controller, text.encode())
        seen, deadline = "", time.monotonic() + DEADLINE_S
        while awaited not in seen:
            assert time.monotonic() < deadline, seen
            seen += os.read(self._controller, 65536).decode(errors="replace")
        return seen

    def close(self) -> None:
        os.close(self._controller)
        self._process.wait(DEADLINE_S)


INTERACTIVE = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], "source docs/completion/nettrace.bash"),
    "zsh": (["zsh", "-f", "-i"], "autoload -Uz compinit; compinit -D -u; source docs/completion/_nettrace"),
}


@pytest.mark.system
@pytest.mark.parametrize("shell", [pytest.param(name, marks=needs(name)) for name in INTERACTIVE])
def test_tab_completes_in_a_shell(shell: str, path: str) -> None:
    """A verb, a mode, a choice, a word of the glossary: each is unique by what was typed."""
    words, source = INTERACTIVE[shell]
    terminal = Terminal(words, path)
    terminal.type(f"{source}; echo rea''dy\n", "ready")
    terminal.type("nettrace expl\t", "explain")
    terminal.type("local\t", "local-delivery")
    terminal.type("\x15nettrace run onec\t", "onecopy")
    terminal.type("--link ve\t", "veth")
    terminal.close()


@needs("fish")
@pytest.mark.system
def test_tab_completes_in_fish(path: str, tmp_path: Path) -> None:
    """With what each word is; processes with their names."""
    me, asked = (
        str(os.getppid()),
        ("nettrace expl", "nettrace explain local", "nettrace run --link ve", "nettrace attach -p "),
    )
    script = "; ".join(("source docs/completion/nettrace.fish", *(f'complete -C "{text}"' for text in asked)))
    done = subprocess.run(
        ["fish", "--no-config", "-c", script], capture_output=True, text=True, check=True, cwd=ROOT, timeout=DEADLINE_S,
        env={"PATH": path, "HOME": str(tmp_path)},
    )  # fmt: skip
    found = dict(line.partition("\t")[::2] for line in done.stdout.splitlines())

    assert {"explain", "local-delivery", "veth", me} <= set(found)
    assert "local delivery" in found["local-delivery"]
