"""The README does not lie: its commands exist, its pasted output is what is printed today."""

from __future__ import annotations

import re
import shlex
from collections import Counter

import click
import pytest

from bench import lab_matrix, readme, study
from tests.command import ROOT, nettrace
from tracer import cli

README = (ROOT / "README.md").read_text()
PASTED = {found["arguments"]: (found["lines"], found["output"]) for found in readme.PASTED.finditer(README)}
COMMANDS = re.findall(
    r"^nettrace ([^|>&\n]+)", "\n".join(re.findall(r"```sh\n(.*?)```", README, re.DOTALL)), re.MULTILINE
)


def shape(output: str) -> Counter[str]:
    """The words of an output, whatever the machine, the numbers, their units and the breaks of its lines.

    A busy machine makes TCP send something twice, even over loopback; the sentence then says so.
    """
    words = re.sub(r"\s+", " ", re.sub(r"Linux .*", "", output, count=1))
    words = re.sub(r"\([\d,]+ B twice, as TCP sent them again\) ", "", words)
    # Told only where the threads ran for long enough, which depends on the machine.
    words = re.sub(r"(n/a|[\d.]+ %) in the kernel", "# in the kernel", words)
    return Counter(re.sub(r"(?<![\w-])\d[\d.,]*( (ns|µs|ms|s|Gb/s)\b)?", "#", words).split())


@pytest.mark.parametrize(
    "arguments", [pytest.param(one, marks=pytest.mark.lab if "--lab" in one else pytest.mark.live) for one in PASTED]
)
@pytest.mark.timeout(300)
def test_the_pasted_output_is_what_is_printed(arguments: str) -> None:
    """The same lines but for their numbers; `make readme` pastes them anew.

    The observer is named, because `auto` takes another one where the kernel allows it.
    """
    lines, output = PASTED[arguments]
    observer = () if "--lab" in arguments else ("--observer", "tracepoints")
    done = nettrace(*arguments.split(), *observer, env=readme.WIDE, timeout=280)
    # Advice repeats what was asked for.
    told = done.stdout.replace(" --observer tracepoints", "")
    printed = told.splitlines(keepends=True)[: int(lines) if lines else None]

    assert shape("".join(printed)) == shape(output.removeprefix("```\n").removesuffix("```\n"))


def test_what_is_promised_is_pasted() -> None:
    """A README without the first screen, or without the two over the NIC, would pass all the rest."""
    assert list(PASTED) == [
        "run zerocopy --size 16384",
        "run zerocopy --link nic --lab",
        "run zerocopy --link nic --no-sg --lab",
    ]


@pytest.mark.parametrize("begin", [lab_matrix.BEGIN, study.BEGIN])
def test_what_programs_write_into_the_readme_is_there(begin: str) -> None:
    """Tables between markers, not markers alone."""
    assert README.partition(begin)[2].lstrip().startswith("|")


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

    # Behind "--" stands another program's command line.
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments

    assert {word for word in own if word.startswith("--")} <= known


def test_the_exit_codes_are_those_of_the_program() -> None:
    """One row for each, no more."""
    rows = re.findall(r"^\| (\d+) \| ", README, re.MULTILINE)

    assert rows == ["0", "1", "2", "3", "4", "5", "70", "130"]
