"""A packet that the driver does not take is given to it again, and counted once: when it is taken."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest

from tests.busy_driver import MESSAGES, SIZE
from tests.command import NETTRACE, ROOT


def run_behind_a_busy_driver(*arguments: str, before: Sequence[str] = ()) -> dict[str, Any]:
    """The document of a run some of whose packets came back from the driver."""
    command = [*before, sys.executable, "-m", "tests.busy_driver", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=290)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    if answer["dropped"] and not answer["requeued"]:
        pytest.skip("this kernel's veth is never busy: it drops what its ring does not hold")
    assert answer["requeued"] > 0
    found: dict[str, Any] = answer["document"]
    return found


def laws(found: dict[str, Any]) -> dict[str, tuple[str, int]]:
    return {law["id"]: (law["state"], law["left"]) for law in found["ledger"]["laws"]}


@pytest.mark.live
@pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need CAP_SYS_ADMIN and CAP_NET_ADMIN")
@pytest.mark.skipif(not shutil.which("tc") or not shutil.which("ethtool"), reason="needs iproute2 and ethtool")
@pytest.mark.parametrize("mode", ["onecopy", "zerocopy"])
def test_a_packet_that_the_driver_sends_back_is_counted_once(mode: str) -> None:
    """What left IP is what the driver took, to the byte."""
    found = run_behind_a_busy_driver(mode, "tracepoints")
    sent = SIZE * MESSAGES + found["observed"]["retransmitted_bytes"]

    assert laws(found)["T.L3"] == ("holds", sent)
    assert found["ledger"]["trustworthy"] is True


@pytest.mark.lab
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("qdisc", "doubles"), [("pfifo limit 10000", 0), ("netem duplicate 100% limit 100000", 1)])
def test_both_observers_count_it_once_with_a_socket_or_without(qdisc: str, doubles: int) -> None:
    """Where functions can be probed too; a double has no socket, and is known by its device after a refusal too."""
    in_guest = [*NETTRACE, "lab", "exec", "--kernel", "7.2", "--"]
    found = run_behind_a_busy_driver("onecopy", "all", qdisc, before=in_guest)
    sent = SIZE * MESSAGES + found["observed"]["retransmitted_bytes"]
    functions, tracepoints = (observation["tallies"] for observation in found["observations"])

    assert laws(found)["T.L3"] == laws(found)["F.L2"] == ("holds", sent)
    assert functions["net_dev_start_xmit:unowned"]["bytes"] == doubles * sent
    assert tracepoints["net_dev_start_xmit:unowned:copied"]["bytes"] == doubles * sent
