"""Options that name a file to write: what was forgotten is said, and no file is made of what comes next."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from tests.command import said
from tracer.cli import cli
from tracer.commands.options import FileToWrite

FORGOTTEN = [
    (("record", "--json", "--", "true"), "--json", "--"),
    (("record", "-o", "--", "true"), "--save", "--"),
    (("attach", "-p", "1", "--save", "--json"), "--save", "--json"),
    (("run", "onecopy", "--save", "-"), "--save", "-"),
    (("report", "f", "--html", "--redact"), "--html", "--redact"),
]


@pytest.mark.parametrize(("arguments", "option", "taken"), FORGOTTEN, ids=lambda value: str(value))
def test_a_name_that_was_forgotten_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: tuple[str, ...], option: str, taken: str
) -> None:
    """Exit code 2, before anything is done."""
    monkeypatch.chdir(tmp_path)
    code, output, errors = said(*arguments)

    assert (code, output) == (2, "")
    assert f"{option} needs the name of a file" in errors
    assert f"what follows it is {taken!r}" in errors
    assert list(tmp_path.iterdir()) == []


def test_every_option_that_writes_a_file_asks_for_its_name() -> None:
    """One that takes any path would make a file of the next option."""
    commands = [cli.get_command(click.Context(cli), name) for name in cli.list_commands(click.Context(cli))]
    options = [one for command in commands if command for one in command.params if isinstance(one, click.Option)]
    paths = [one for one in options if isinstance(one.type, click.Path) and not one.type.dir_okay]

    assert len(paths) > 8
    assert [one.name for one in paths if not isinstance(one.type, FileToWrite)] == []
