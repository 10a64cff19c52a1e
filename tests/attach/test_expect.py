"""attach --expect: the exit code that the recording earns, of a program that does not end."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.attach.targets import Told, attached
from tests.command import nettrace

pytestmark = pytest.mark.live


@pytest.mark.parametrize(
    ("rules", "code"),
    [
        (["send copies = 1", "way copy = 100%", "laws hold"], 0),
        (["way splice >= 90%"], 1),
        (["completions copied = 0"], 5),
        (["completions copied = 0", "send copies < 1"], 1),
        ([], 0),
    ],
)
def test_the_exit_code_says_whether_the_rules_were_kept(tmp_path: Path, rules: list[str], code: int) -> None:
    """1 where one is false, 5 where one is unknown; each is told on stderr."""
    options = [word for rule in rules for word in ("--expect", rule)]
    with Told() as target:
        target.tell("a, b = pair()")
        with attached(tmp_path, "-p", target.pid, *options) as watching:
            target.tell("send(a, 3, 4099, b)")
            watching.end()

    assert watching.code == code, watching.errors
    assert watching.errors.count("nettrace: expected ") == len(rules)


def test_a_rule_that_is_none_is_told_before_anything_is_watched() -> None:
    """Exit code 2."""
    done = nettrace("attach", "-p", "1", "--expect", "send fewer copies")

    assert done.returncode == 2
    assert "'send fewer copies' is no expectation" in done.stderr
