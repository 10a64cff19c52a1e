"""A packet that the driver does not take is given to it again, and counted once: when it is taken."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.busy_driver import MESSAGES, SIZE
from tests.command import ROOT
from tracer.books.analysis import document_of
from tracer.lab import opening
from tracer.lab.guest import Guest, least_environment
from tracer.machine.links import RECEIVER_ADDRESS, SENDER_ADDRESS
from tracer.model import Document, Experiment, LawState, Link, ObserverChoice
from tracer.runs import warming
from tracer.runs.in_lab import record


def run_behind_a_busy_driver(*arguments: str) -> dict[str, Any]:
    """The document of a run some of whose packets came back from the driver."""
    command = [sys.executable, "-m", "tests.busy_driver", *arguments]
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


# As tests.busy_driver does it, but the other machine alone is a namespace; its receiver stays for all runs.
TWO_MACHINES = """
set -e
ip netns add far
ip link add near type veth peer name far netns far
ip address add {sender}/30 dev near; ip -n far address add {receiver}/30 dev far
ip link set near up; ip -n far link set far up
ip netns exec far ethtool -K far gro on
ethtool -K near tso off; ip link set near mtu 256
ip route change {network} dev near src {sender} congctl reno
setsid ip netns exec far {python} -m tracer serve --port {port} >/run/said 2>&1 &
until grep -q {port} /run/said; do :; done
"""
PORT = 4711
# Some 5,000 packets: of more, one is lost to the observer on a busy machine, where a probe interrupts itself.
FEW = 17


@pytest.fixture(scope="module")
def guest() -> Iterator[Guest]:
    """With another machine beside it."""
    script = TWO_MACHINES.format(
        sender=SENDER_ADDRESS, receiver=RECEIVER_ADDRESS, network="198.18.0.0/30", python=sys.executable, port=PORT
    )
    with opening.guest(warming.wanted("7.2"), print) as one:
        said = told_by(one, script)
        assert said == "", said
        yield one


def told_by(guest: Guest, script: str) -> str:
    told = bytearray()
    environment = least_environment() | {"PYTHONPATH": str(ROOT)}
    status = guest.run(["sh", "-c", script], ROOT, environment, stdout=told.extend, stderr=told.extend, timeout=240)
    assert status == 0, told.decode()
    return told.decode()


def requeues(guest: Guest) -> int:
    (state,) = json.loads(told_by(guest, "tc -j -s qdisc show dev near"))
    return int(state["requeues"])


def whole_document(asked: Experiment, guest: Guest) -> Document:
    """One from whose observed pass no event was lost; that some were is said, and no law is tested by it."""
    for _ in range(2):
        before = requeues(guest)
        document = document_of(record(asked, print, there=guest))
        assert requeues(guest) > before
        if not any(one.lost for one in document.observations):
            return document
    raise AssertionError("events were lost in ten passes of two runs")


@pytest.mark.lab
@pytest.mark.other_kernel
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("qdisc", "doubles"), [("pfifo limit 10000", 0), ("netem duplicate 100% limit 100000", 1)])
def test_both_observers_count_it_once_with_a_socket_or_without(guest: Guest, qdisc: str, doubles: int) -> None:
    """Where functions can be probed too; a double has no socket, and is known by its device after a refusal too."""
    told_by(guest, f"tc qdisc replace dev near root {qdisc}")
    asked = Experiment(
        mode="onecopy", size=SIZE, messages=FEW, link=Link.NIC, peer=f"{RECEIVER_ADDRESS}:{PORT}", lab="7.2",
        observer=ObserverChoice.ALL,
    )  # fmt: skip
    document = whole_document(asked, guest)
    sent = SIZE * FEW + document.observed.retransmitted_bytes
    functions, tracepoints = (observation.tallies for observation in document.observations)
    laws = {law.id: (law.state, law.left) for law in document.ledger.laws}

    assert laws["T.L3"] == laws["F.L2"] == (LawState.HOLDS, sent)
    assert functions["net_dev_start_xmit:unowned"].bytes == doubles * sent
    assert tracepoints["net_dev_start_xmit:unowned:copied"].bytes == doubles * sent
