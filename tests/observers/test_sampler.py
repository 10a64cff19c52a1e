"""CPU by stage: what a sampled pass shows of each mode, on this machine's own kernel."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.command import document, nettrace
from tracer.observers.program import Sample
from tracer.observers.sampler import fold

# Long enough for some hundred samples: a stage of one in a hundred is then there.
WORK = ("--size", 16384, "--messages", 8209)


def shares(found: dict[str, Any]) -> dict[str, float]:
    return {cost["stage"]: cost["share"] for cost in found["profile"]["stages"]}


@pytest.mark.live
@pytest.mark.parametrize("link", ["lo", "veth"])
def test_twocopy_packs_and_copies_in(link: str) -> None:
    """User mode's packing is told from the kernel's copy, and nothing much is unmapped."""
    found = document("twocopy", "--profile", "--link", link, *WORK)
    share = shares(found)

    assert share["user_pack"] > 0
    assert share["copy_in"] > 0
    assert share["copy_out"] > 0
    assert "deferred_copy" not in share
    assert share.get("unmapped", 0) <= 0.05


@pytest.mark.live
@pytest.mark.parametrize("link", ["lo", "veth"])
def test_zerocopy_pins_and_is_copied_after_all(link: str) -> None:
    """On a looping link the copy has moved, not gone."""
    found = document("zerocopy", "--profile", "--link", link, *WORK)
    share = shares(found)

    assert share["deferred_copy"] > 0
    assert share["pin"] > 0
    assert share.get("copy_in", 0) < 0.01
    assert "user_pack" not in share
    assert share.get("unmapped", 0) <= 0.05


@pytest.mark.live
def test_the_profile_is_of_the_same_fixed_work() -> None:
    """Its payload is the bare pass's; stages and stacks are the same samples; the books still balance."""
    found = document("onecopy", "--profile", *WORK)
    profile = found["profile"]

    assert profile["payload_bytes"] == found["workload"]["payload_bytes"] == 16384 * 8209
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
    assert "CPU by stage" in done.stdout
    assert lines
    assert all(samples.isdecimal() and len(stack.split(";")) >= 3 for stack, _, samples in lines)
    assert any("tcp_sendmsg_locked;_copy_from_iter" in stack for stack, *_ in lines)


def test_a_folded_file_that_cannot_be_written_is_told_before_the_run(tmp_path: Path) -> None:
    """Not after the work is done."""
    done = nettrace("run", "onecopy", "--folded", tmp_path / "missing/stacks.folded")

    assert done.returncode == 4
    assert "there is no directory" in done.stderr


def test_another_process_counts_only_in_tcps_softirq() -> None:
    """What a stranger sends over lo itself is his; TCP's receive side after an interrupt may be ours."""
    receive = ["tcp_v4_rcv", "ip_local_deliver_finish", "net_rx_action", "handle_softirqs", "__irq_exit_rcu"]
    looped = [*receive[:-1], "do_softirq.part.0", "__local_bh_enable_ip", "__dev_queue_xmit", "tcp_sendmsg_locked"]
    interrupted = ["handle_softirqs", "__irq_exit_rcu", "sysvec_apic_timer_interrupt", "tcp_sendmsg_locked"]
    samples = [
        Sample(2, False, receive, 3),
        Sample(2, False, looped, 13),
        Sample(2, False, interrupted, 17),
        Sample(2, False, ["tcp_sendmsg", "__sys_sendto"], 5),
        Sample(2, False, ["virtnet_poll", "net_rx_action", "handle_softirqs"], 7),
        Sample(2, False, ["pv_native_safe_halt", "do_idle"], 11),
    ]

    assert fold(samples) == {"softirq;kernel;" + ";".join(receive[::-1]): 3}


def test_stacks_that_differ_by_a_suffix_are_one() -> None:
    """The compiler's suffixes say nothing to a reader."""
    samples = [
        Sample(0, False, ["do_softirq.part.0"], 2),
        Sample(0, False, ["do_softirq"], 1),
        Sample(0, True, ["memcpy", "pool_pack"], 4),
    ]

    assert fold(samples) == {"sender;user;pool_pack;memcpy": 4, "sender;kernel;do_softirq": 3}
