"""A sweep takes no more descriptors than a run."""

from __future__ import annotations

import json
import resource
from pathlib import Path

import pytest

from tests.command import nettrace

LIMIT = 96  # one run takes some 40; what BCC kept of each process that it looked into was a dozen


def lower_the_limit() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, LIMIT))


@pytest.mark.live
def test_a_sweep_of_profiled_runs_takes_few_descriptors(tmp_path: Path) -> None:
    """Eight runs, each with a profile, whose receivers' and senders' functions are looked up."""
    done = nettrace(
        "sweep", tmp_path, "--modes", "twocopy,onecopy", "--sizes", "1009,2003,4001,8009", "--threads", 2,
        "--repetitions", 1, "--bytes-budget", "32M", preexec_fn=lower_the_limit,
    )  # fmt: skip
    runs = [json.loads(line) for line in (tmp_path / "runs.jsonl").read_text().splitlines()]

    assert done.returncode == 0, done.stderr
    assert len(runs) == 8
    assert all(run["recording"]["profile"] is not None for run in runs)
