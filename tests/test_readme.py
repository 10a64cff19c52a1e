"""The README does not lie: its commands exist, its pasted output is what is printed today."""

from __future__ import annotations

import os
import re
import shlex
from collections import Counter

import click
import pytest

from tests.command import ROOT, nettrace
from tracer import cli

README = (ROOT / "README.md").read_text()
PASTED = re.findall(r"<!-- output: nettrace (.+?) -->\n```\n(.*?)```\n<!-- /output -->", README, re.DOTALL)
COMMANDS = re.findall(
    r"^nettrace ([^|>&\n]+)", "\n".join(re.findall(r"```sh\n(.*?)```", README, re.DOTALL)), re.MULTILINE
)


def shape(output: str) -> Counter[str]:
    """The words of an output, whatever the machine, the numbers, their units and the breaks of its lines.

    A busy machine makes TCP send something twice, even over loopback; the sentence then says so.
    """
    words = re.sub(r"\s+", " ", re.sub(r"Linux .*", "", output, count=1))
    words = re.sub(r"\([\d,]+ B twice, as TCP sent them again\) ", "", words)
    return Counter(re.sub(r"(?<![\w-])\d[\d.,]*( (ns|µs|ms|s|Gb/s)\b)?", "#", words).split())


@pytest.mark.live
@pytest.mark.parametrize(("arguments", "output"), PASTED, ids=[arguments for arguments, _ in PASTED])
def test_the_pasted_output_is_what_is_printed(arguments: str, output: str) -> None:
    """The same lines but for their numbers; `make readme` pastes them anew.

    The observer is named, because `auto` takes another one where the kernel allows it.
    """
    as_wide = {**os.environ, "COLUMNS": "100"}
    done = nettrace(*arguments.split(), "--observer", "tracepoints", env=as_wide)

    assert shape(done.stdout) == shape(output)


def test_something_is_pasted() -> None:
    """A README without the first screen would pass all the rest."""
    assert [arguments for arguments, _ in PASTED] == ["run zerocopy --size 16384"]


@pytest.mark.parametrize("text", COMMANDS)
def test_every_command_exists_with_its_options(text: str) -> None:
    """What a newcomer copies from the README is understood."""
    verb, *arguments = shlex.split(text)
    command = cli.cli.get_command(click.Context(cli.cli), verb)
    assert command is not None
    if isinstance(command, click.Group):
        assert set(arguments[:1]) <= set(command.list_commands(click.Context(command)))
        return
    known = {option for parameter in command.params for option in parameter.opts}

    assert {word for word in arguments if word.startswith("--")} <= known


def test_the_exit_codes_are_those_of_the_program() -> None:
    """One row for each, no more."""
    rows = re.findall(r"^\| (\d+) \| ", README, re.MULTILINE)

    assert rows == ["0", "1", "2", "3", "4", "5", "130"]
