"""record --expect: the exit code of a program that did what was expected of it, and of one that did not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.command import ROOT, nettrace, said

pytestmark = pytest.mark.live

PROGRAM = (sys.executable, ROOT / "tests/programs/ways.py")
SENDFILE, SEND = (*PROGRAM, "sendfile", "recv", 23, 10007), (*PROGRAM, "send", "recv", 23, 10007)


def expecting(*rules: str) -> list[str]:
    return [word for rule in rules for word in ("--expect", rule)]


@pytest.mark.parametrize(
    ("rules", "command", "code"),
    [
        (["way splice >= 90%", "send copies = 0", "laws hold"], SENDFILE, 0),
        (["way splice >= 90%"], SEND, 1),
        (["send copies = 1", "read copies < 1"], SEND, 1),
        (["completions copied = 0", "send copies = 1"], SEND, 5),
        (["completions copied = 0", "send copies = 0"], SEND, 1),
        (["laws hold"], ("sh", "-c", "exit 7"), 7),
        ([], SEND, 0),
    ],
)
def test_the_exit_code_says_whether_the_rules_were_kept(
    rules: list[str], command: tuple[object, ...], code: int
) -> None:
    """1 where one is false, 5 where one is unknown; what the command itself says of its end goes first."""
    done = nettrace("record", *expecting(*rules), "--", *command)

    assert done.returncode == code, done.stderr
    assert done.stderr.count("nettrace: expected ") == len(rules)


def test_a_rule_that_is_none_costs_nothing(tmp_path: Path) -> None:
    """The command is not started."""
    done = nettrace("record", "--expect", "send fewer copies", "--", "touch", tmp_path / "file")

    assert done.returncode == 2
    assert "'send fewer copies' is no expectation" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_recording_is_judged_again(tmp_path: Path) -> None:
    """By report, without root and without the program; a report alone earns 0."""
    file = tmp_path / "recording.json"
    nettrace("record", "-o", file, "--", *SEND)

    assert [said("report", file, *expecting(rule))[0] for rule in ("send copies = 1", "send copies < 1")] == [0, 1]
    assert said("report", file)[0] == 0


@pytest.mark.parametrize(("rule", "code"), [("send copies = 1", 0), ("zerocopy real", 1)])
def test_a_run_is_judged_too(rule: str, code: int) -> None:
    """--expect-zerocopy is short for one of the rules."""
    done = nettrace("run", "twocopy", "--messages", 23, *expecting("laws hold", rule))

    assert done.returncode == code, done.stderr
