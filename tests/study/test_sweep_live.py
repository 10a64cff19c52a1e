"""Real sweeps, comparisons and claims, small ones: 23 messages of 10007 bytes, interrupted, continued, repeated."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.command import Running, nettrace, remains_of

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]

SIZE, MESSAGES = 10007, 23
SMALL = (
    "--modes", "onecopy,zerocopy", "--sizes", SIZE, "--threads", 1, "--repetitions", 2,
    "--bytes-budget", SIZE * MESSAGES, "--observer", "tracepoints",
)  # fmt: skip
RUNS = 4


def runs_in(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / "runs.jsonl").read_text().splitlines()]


def interrupted(directory: Path, number: signal.Signals = signal.SIGINT) -> list[dict[str, Any]]:
    """The runs of a sweep that a signal ended after its first one."""
    running = Running("sweep", directory, *SMALL)
    running.wait_for(f"1 of {RUNS} runs")
    running.process.send_signal(number)
    code, output, errors = running.finish()
    done = runs_in(directory)

    assert code == 130, errors
    assert output == ""
    assert f"{len(done)} of {RUNS} runs are safe in {directory}" in errors
    assert remains_of(running.pid) == []
    return done


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_sweep_is_continued_by_the_same_command(tmp_path, number):
    """What was measured stays as it was; every run sent its 23 messages; the first of each mode was observed."""
    before = interrupted(tmp_path, number)
    done = nettrace("sweep", tmp_path, *SMALL, "--json")
    after = runs_in(tmp_path)

    assert done.returncode == 0, done.stderr
    assert 1 <= len(before) < RUNS
    assert after[: len(before)] == before
    assert len(after) == RUNS
    assert {one["recording"]["workload"]["payload_bytes"] for one in after} == {SIZE * MESSAGES}
    assert [one["repetition"] for one in after if one["recording"]["observed"]] == [0, 0]
    assert json.loads(done.stdout)["notes"] == []
    assert (tmp_path / "runs.parquet").stat().st_size > 0


def test_another_command_does_not_continue_it(tmp_path):
    """Exit code 2, and the difference in words; nothing is changed."""
    before = interrupted(tmp_path)
    done = nettrace("sweep", tmp_path, *SMALL, "--seed", 9)

    assert done.returncode == 2
    assert "seed 1, this one 9" in done.stderr
    assert runs_in(tmp_path) == before


def test_claims_continue_a_sweep_and_repeat_it(tmp_path):
    """Bytes are decided by one look; of times, two repetitions decide nothing."""
    interrupted(tmp_path)
    done = nettrace("claims", tmp_path, "--repeat", 2, "--json", timeout=170)
    claims = {one["id"]: one for one in json.loads(done.stdout)["claims"]}

    assert done.returncode == 0, done.stderr
    assert len(runs_in(tmp_path)) == len(runs_in(tmp_path / "repeat-2")) == RUNS
    assert claims["S5"]["outcome"] == "REFUTED"
    assert claims["S5"]["repeats"] == ["REFUTED", "REFUTED"]
    assert claims["S6"]["outcome"] == claims["S17"]["outcome"] == "UNDECIDED"
    again = nettrace("claims", tmp_path, "--repeat", 2, "--no-run", "--json")
    assert {one["outcome"] for one in json.loads(again.stdout)["claims"] if one["id"] == "S5"} == {"REFUTED"}


def test_compare_shows_the_copies_and_names_no_winner_by_two_repetitions():
    """Copies are exact after one run; who is faster is not."""
    done = nettrace("compare", "--size", SIZE, "--modes", "twocopy,onecopy", "--repetitions", 2, "--json")
    found = json.loads(done.stdout)

    assert done.returncode == 0, done.stderr
    assert (found["copies"]["twocopy"]["pack"], found["copies"]["onecopy"]["pack"]) == (1.0, 0.0)
    assert found["copies"]["twocopy"]["copy_in"] == found["copies"]["onecopy"]["copy_in"] == 1.0
    assert {one["winner"] for one in found["contests"]} == {None}
    assert "it takes --repetitions 5" in found["contests"][0]["sentence"]


def test_an_interrupted_comparison_says_how_far_it_came():
    """And prints nothing that could be taken for a result."""
    running = Running("compare", "--size", SIZE, "--repetitions", 2)
    running.wait_for("1 of 6 runs")
    running.process.send_signal(signal.SIGINT)
    code, output, errors = running.finish()

    assert (code, output) == (130, "")
    assert "of 6 runs were done" in errors
    assert remains_of(running.pid) == []
