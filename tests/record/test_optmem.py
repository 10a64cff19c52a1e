"""Watching takes some of a socket's optmem, so ENOBUFS comes sooner: by how much is what the report says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import LAB_DEADLINE_S, NETTRACE, ROOT
from tests.record.test_ways import record
from tracer.model.socket_recording import SocketRecording

# What kernels before 6.9 start with, in round numbers. Since 6.8 it belongs to the network namespace.
LITTLE = "echo 20000 > /proc/sys/net/core/optmem_max"
PROGRAM = (sys.executable, str(ROOT / "tests/programs/optmem.py"))


def agrees(recording: SocketRecording, report: str, watched: dict[str, int], bare: dict[str, int]) -> None:
    """The charge is what the socket itself says; so many zero-copy sends fewer fit, and no more."""
    charge, each = recording.hooks.optmem_bytes, bare["after"] // bare["sends"]
    assert charge is not None
    assert (bare["before"], watched["before"]) == (0, charge)
    assert (watched["after"] - charge) // watched["sends"] == each
    assert charge // each <= bare["sends"] - watched["sends"] <= -(-charge // each)

    refused = [one.refused for one in recording.sockets if one.refused.enobufs]
    assert [(one.enobufs, one.enobufs_after) for one in refused] == [(1, watched["sends"])]
    told = " ".join(report.split())
    assert f"1 send was refused with ENOBUFS, the first after {watched['sends']} sends" in told
    assert f"watching takes {charge:,} B of it from each socket" in told


@pytest.mark.live
def test_the_first_enobufs_with_and_without_watching(tmp_path: Path) -> None:
    """In a network namespace of its own."""
    command = ("unshare", "-n", "sh", "-c", f'{LITTLE}; ip link set lo up; exec "$@"', "sh", *PROGRAM)
    recording, done = record(tmp_path, *command)
    bare = subprocess.run(command, capture_output=True, check=True).stdout

    agrees(recording, done.stderr, json.loads(done.stdout), json.loads(bare))


@pytest.mark.lab
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kernel", ["6.1", "6.12"])
def test_it_is_so_on_the_kernels_that_people_run(tmp_path: Path, kernel: str) -> None:
    """Each guest is a fresh one, so its limit may be changed."""
    command = ("sh", "-c", f'{LITTLE}; exec "$@"', "sh", *PROGRAM)
    recording, done = record(tmp_path, *command, options=("--lab", kernel), most_s=LAB_DEADLINE_S)
    bare = subprocess.run(
        [*NETTRACE, "lab", "exec", "--kernel", kernel, "--", *command], capture_output=True, cwd=ROOT, check=True
    ).stdout

    agrees(recording, done.stderr, json.loads(done.stdout), json.loads(bare))
