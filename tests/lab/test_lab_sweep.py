"""A sweep in the lab: begun there, continued there, by whatever verb."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.command import nettrace
from tracer.lab import kept

SIZE, MESSAGES, RUNS = 10007, 23, 4
SWEEP = (
    "--lab", "6.12", "--modes", "onecopy,zerocopy", "--sizes", SIZE, "--threads", 1, "--repetitions", 2,
    "--bytes-budget", SIZE * MESSAGES,
)  # fmt: skip

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1500), pytest.mark.usefixtures("lab")]


@pytest.fixture(scope="module")
def lab() -> Iterator[None]:
    yield
    kept.stop()


def recordings_in(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line)["recording"] for line in (directory / "runs.jsonl").read_text().splitlines()]


def test_an_unfinished_sweep_in_the_lab_is_continued_in_the_lab(tmp_path):
    """nettrace claims is given the directory alone: where its runs are done, the plan says.

    Unfinished as a power cut leaves it: two runs, and half of a third.
    """
    first = nettrace("sweep", tmp_path, *SWEEP, timeout=500)
    lines = (tmp_path / "runs.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "runs.jsonl").write_bytes(b"".join(lines[:2]) + lines[2][:1000])
    before = [json.loads(line)["recording"] for line in lines[:2]]
    done = nettrace("claims", tmp_path, "--json", timeout=500)
    found = recordings_in(tmp_path)

    assert first.returncode == 0, first.stderr
    assert done.returncode == 0, done.stderr
    assert found[:2] == before
    assert len(found) == len(lines) == RUNS
    assert {(one["host"]["where"], one["experiment"]["lab"]) for one in found} == {("lab", "6.12")}
    assert {one["workload"]["payload_bytes"] for one in found} == {SIZE * MESSAGES}
    claims = {one["id"]: one["outcome"] for one in json.loads(done.stdout)["claims"]}
    assert (claims["S5"], claims["S6"]) == ("REFUTED", "UNDECIDED")
