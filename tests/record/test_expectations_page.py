"""docs/expectations.md does not lie: its commands are run, its rules are read, its job's too."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.command import ROOT, nettrace
from tracer.books.expectations import FIGURES, parse_expectation

PAGE = (ROOT / "docs/expectations.md").read_text()
COMMANDS = re.findall(r"^nettrace (.*?)  # exit (\d+)$", PAGE, re.MULTILINE)


@pytest.mark.live
def test_the_commands_end_as_the_page_says(tmp_path: Path) -> None:
    """In their order, because one reads what another has written."""
    assert len(COMMANDS) == 7

    for command, code in COMMANDS:
        words = [
            str(tmp_path / word) if word in ("before.json", "after.json") else word for word in shlex.split(command)
        ]
        done = nettrace(*words)
        assert done.returncode == int(code), f"{command}: {done.stderr}"


def test_each_rule_of_the_page_can_be_read() -> None:
    """Those of commands, of the table, and of the job."""
    rules = re.findall(r"--expect '(.*?)'", PAGE) + re.findall(r"^\| `(.*?)` \|", PAGE, re.MULTILINE)

    assert len([parse_expectation(rule) for rule in rules]) >= 14


def test_each_figure_is_on_the_page() -> None:
    """By its name, or its way."""
    assert [figure for figure in FIGURES if figure not in PAGE and f"`{figure.split()[1]}`" not in PAGE] == []
