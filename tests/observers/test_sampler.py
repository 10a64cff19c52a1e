"""CPU by stage: what a sampled pass shows of each mode, on this machine's own kernel."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.command import document, nettrace, stage_bytes
from tracer.observers import image_cache
from tracer.observers.sampler import Processes, Sampler

SIZE, MESSAGES = 16384, 32771
WORK = ("--size", SIZE, "--messages", MESSAGES)
# Some 500 samples are usual. Below this a profile says of itself that it decides nothing, and a stage may be missing.
ENOUGH = 100


def profiled(mode: str, link: str) -> dict[str, Any]:
    """A run with samples enough; again with more work where this machine has taken too few."""
    for more in (1, 4, 16):
        found = document(mode, "--profile", "--link", link, "--size", SIZE, "--messages", MESSAGES * more)
        if found["profile"]["samples"] >= ENOUGH:
            break
    return found


def shares(found: dict[str, Any]) -> dict[str, float]:
    return {cost["stage"]: cost["share"] for cost in found["profile"]["stages"]}


@pytest.mark.live
@pytest.mark.parametrize("link", ["lo", "veth"])
def test_twocopy_packs_and_copies_in(link: str) -> None:
    """User mode's packing is told from the kernel's copy, and nothing much is unmapped."""
    found = profiled("twocopy", link)
    share = shares(found)

    assert {"user_pack", "copy_in", "copy_out"} <= share.keys(), found["profile"]["folded"]
    # Packets of others are taken in on whatever stack is there, and may be of pinned pages.
    assert share.get("deferred_copy", 0) < 0.05
    assert share.get("unmapped", 0) <= 0.05


@pytest.mark.live
@pytest.mark.parametrize("link", ["lo", "veth"])
def test_zerocopy_pins_and_is_copied_after_all(link: str) -> None:
    """On a looping link the copy has moved, not gone."""
    found = profiled("zerocopy", link)
    share = shares(found)

    assert {"deferred_copy", "pin"} <= share.keys(), found["profile"]["folded"]
    assert share.get("copy_in", 0) < 0.05
    assert "user_pack" not in share
    assert share.get("unmapped", 0) <= 0.05


@pytest.mark.live
def test_the_profile_is_of_the_same_fixed_work() -> None:
    """Its payload is the bare pass's; stages and stacks are the same samples; the books still balance."""
    found = document("onecopy", "--profile", *WORK)
    profile = found["profile"]

    assert profile["payload_bytes"] == found["workload"]["payload_bytes"] == SIZE * MESSAGES
    assert profile["lost"] == 0
    assert profile["samples"] == sum(profile["folded"].values()) == sum(one["samples"] for one in profile["stages"])
    assert profile["samples"] * profile["period_ns"] > 0
    assert found["ledger"]["trustworthy"] is True


@pytest.mark.live
def test_the_profile_is_the_workloads_inside_a_pid_namespace_too() -> None:
    """There the workload's pids are not the ones that the kernel gives first (a container, a CI job)."""
    inside = ("unshare", "--pid", "--fork", "--mount-proc")
    done = nettrace("run", "onecopy", "--profile", "--json", *WORK, before=inside)
    found = json.loads(done.stdout)

    assert any(stack.startswith("sender;kernel;") for stack in found["profile"]["folded"])
    assert any(stack.startswith("receiver;kernel;") for stack in found["profile"]["folded"])


@pytest.mark.live
def test_folded_stacks_are_written_for_a_flame_graph(tmp_path: Path) -> None:
    """A stack and its samples a line; --folded implies --profile."""
    file = tmp_path / "stacks.folded"
    done = nettrace("run", "onecopy", "--folded", file, *WORK)
    lines = [line.rpartition(" ") for line in file.read_text().splitlines()]

    assert done.returncode == 0
    assert "CPU by" in done.stdout
    assert lines
    # A sample in a program of which nothing is known has no frame: two fields.
    assert all(samples.isdecimal() and len(stack.split(";")) >= 2 for stack, _, samples in lines)
    assert any("tcp_sendmsg_locked;_copy_from_iter" in stack for stack, *_ in lines)


@pytest.mark.system
def test_a_folded_file_that_cannot_be_written_is_told_before_the_run(tmp_path: Path) -> None:
    """Not after the work is done."""
    done = nettrace("run", "onecopy", "--folded", tmp_path / "missing/stacks.folded")

    assert done.returncode == 4
    assert "there is no directory" in done.stderr


needs_setpriv = pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is not installed (util-linux)")
WITHOUT_SYSLOG = ("setpriv", "--bounding-set=-syslog")


@needs_setpriv
@pytest.mark.live
def test_bytes_are_counted_where_kernel_addresses_are_hidden() -> None:
    """Programs call their helpers by number, whatever /proc/kallsyms shows."""
    done = nettrace("run", "onecopy", "--messages", 23, "--size", 10007, "--json", before=WITHOUT_SYSLOG)
    found = json.loads(done.stdout)

    assert done.returncode == 0
    assert "bpf_probe_read" not in done.stderr
    assert (stage_bytes(found)["copy_in"], stage_bytes(found)["copy_out"]) == (23 * 10007, 23 * 10007)


@needs_setpriv
@pytest.mark.live
def test_a_profile_without_names_is_none_and_says_so() -> None:
    """Decided before the pass: no minutes of look-ups, no "unmapped"."""
    done = nettrace("run", "onecopy", "--profile", "--messages", 23, "--json", before=WITHOUT_SYSLOG)
    found = json.loads(done.stdout)

    assert done.returncode == 0
    assert "profiled pass" not in done.stderr
    assert found["profile"] is None
    assert any(note.startswith("CPU profile: n/a, because kernel.kptr_restrict") for note in found["notes"])


@pytest.mark.live
def test_the_sampler_is_compiled_once_for_all_workloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose samples it keeps stands in a map, and not in its text: clang takes longer than a pass."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    Sampler(Processes(1, 2)).close()
    kept = image_cache.names()
    Sampler(Processes(3, 0)).close()

    assert len(kept) == 1
    assert image_cache.names() == kept
