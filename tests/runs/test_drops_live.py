"""Packets that this machine drops and cuts up, on its own kernel and in a network namespace of the test's own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import Any

import pytest

from tests.command import ROOT

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need CAP_SYS_ADMIN and CAP_NET_ADMIN"),
    pytest.mark.skipif(not shutil.which("tc") or not shutil.which("unshare"), reason="needs iproute2 and util-linux"),
]

# A message that alone is more than the queue lets wait.
SIZE, MESSAGES = 100_003, 83
PAYLOAD = SIZE * MESSAGES
FULL_QUEUE = "tc qdisc add dev lo root tbf rate 400mbit burst 70000 limit 70000"
TINY_MTU = "ip link set lo mtu 68"


def run_behind(obstacle: str, mode: str, size: int, messages: int) -> tuple[int, dict[str, Any]]:
    """Exit code and document of a run over the loopback of a new namespace that has something in the way."""
    command = [sys.executable, "-m", "tracer", "run", mode, "--size", size, "--messages", messages, "--json"]
    inner = f'ip link set lo up && {obstacle} && exec "$@"'
    argv = ["unshare", "-n", "sh", "-c", inner, "sh", *map(str, command), "--observer", "tracepoints"]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=ROOT, timeout=120)
    return done.returncode, json.loads(done.stdout)


def laws(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {law["id"]: law for law in found["ledger"]["laws"]}


def states(found: dict[str, Any]) -> set[str]:
    return {law["state"] for law in found["ledger"]["laws"]}


def bytes_at(found: dict[str, Any], point: str) -> int:
    tallies = found["observations"][0]["tallies"]
    return sum(tally["bytes"] for name, tally in tallies.items() if name.rpartition(":")[0] == point)


@pytest.mark.parametrize("mode", ["onecopy", "zerocopy"])
def test_a_full_queue_s_drops_are_counted_named_and_sent_again(mode: str) -> None:
    """Exactly what the queue dropped left IP once more; TCP was told and retransmitted nothing for it."""
    status, found = run_behind(FULL_QUEUE, mode, SIZE, MESSAGES)
    drops = [entry for entry in found["ledger"]["entries"] if entry["note"].startswith("QDISC")]
    by_queue = sum(entry["bytes"] for entry in drops)

    assert status == 0
    assert by_queue == bytes_at(found, "cgroup_egress") - bytes_at(found, "cgroup_ingress") > 0
    assert {entry["function"] for entry in drops} == {"qdisc tbf on lo"}
    assert f"{by_queue:,} B were dropped by qdisc tbf on lo and sent again" in found["verdict"]["sentence"]
    assert states(found) == {"holds"}
    assert found["ledger"]["trustworthy"] is True
    assert found["observed"]["payload_bytes"] == found["observed"]["received_bytes"] == PAYLOAD


def test_an_mtu_that_makes_fragments_of_all_packets_breaks_no_law() -> None:
    """lo at MTU 68 cuts even TCP's smallest segments, and its backlog of packets overflows."""
    status, found = run_behind(TINY_MTU, "zerocopy", 10007, 101)
    lost = any(name.startswith("kfree_skb:arriving_fragment:") for name in found["observations"][0]["tallies"])

    assert status == 0
    assert "broken" not in states(found)
    assert laws(found)["T.L3"]["state"] == "holds" or lost
    assert laws(found)["T.L6"]["left"] == 101 * 10007
    assert found["host"]["nic"]["mtu"] == 68
