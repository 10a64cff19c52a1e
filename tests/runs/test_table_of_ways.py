"""The table of ways, to the byte, on the kernels that people run: what CI does of `make lab-matrix`."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from bench.lab_matrix import run
from tests.command import Running

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

# As few messages as take several round trips, since each has to be waited for.
SLOW_SIZE, SLOW_MESSAGES = 100_003, 7
# A way that is slow is no way that is blocked.
SLOW = (
    "run", "zerocopy", "--size", SLOW_SIZE, "--messages", SLOW_MESSAGES, "--observer", "tracepoints", "--json",
    "--lab", "6.12", "--setup", "tc qdisc add dev lo root netem delay 2s limit 10000",
)  # fmt: skip


@pytest.fixture(scope="module")
def slow() -> Iterator[Running]:
    """Its guest does nothing for a minute but wait, so the other tests of this file go on meanwhile."""
    running = Running(*SLOW)
    yield running
    if running.process.poll() is None:
        running.process.kill()
        running.process.wait()


@pytest.mark.parametrize(
    ("kernel", "mode", "link"),
    [
        ("6.1", "zerocopy", "lo"),
        ("6.1", "zerocopy", "nic"),
        ("6.1", "zerocopy", "nic --no-sg"),
        ("6.12", "onecopy", "nic --no-sg"),
        ("6.12", "zerocopy", "nic --no-sg"),
        ("6.12", "zerocopy", "nic"),
        ("6.12", "twocopy", "veth"),
        ("6.12", "zerocopy", "veth"),
        ("6.12", "zerocopy", "nic tx-off"),
        ("6.12", "zerocopy", "lo netem-loss"),
        ("6.12", "onecopy", "lo netem-duplicate"),
        ("6.12", "zerocopy", "lo full-qdisc"),
        ("6.1", "sendfile", "lo"),
        ("6.1", "uring-zerocopy", "lo"),
        ("6.12", "sendfile", "nic"),
        ("6.12", "vmsplice", "nic --no-sg"),
        ("6.12", "zerocopy-more", "veth"),
        ("6.12", "uring-zerocopy-fixed", "nic"),
        ("6.1", "ktls", "lo"),
        ("6.1", "ktls-sendfile", "veth"),
        ("6.12", "ktls", "nic --no-sg"),
        ("6.12", "ktls-sendfile", "nic tx-off"),
        ("7.2", "ktls", "lo"),
        ("7.2", "ktls-sendfile", "lo"),
        ("6.1", "onecopy", "lo splice"),
        ("6.1", "zerocopy", "lo map"),
        ("6.12", "sendfile", "lo peek"),
        ("6.12", "onecopy", "lo discard"),
        ("6.12", "zerocopy", "lo uring"),
        ("6.12", "udp-zerocopy", "nic"),
        ("6.12", "uring-zerocopy-fixed", "lo --ipv6"),
        ("6.12", "zerocopy", "veth tapped"),
        ("6.12", "zerocopy", "nic forwarded"),
        ("7.2", "zerocopy", "nic forwarded"),
    ],
)
def test_every_byte_is_where_the_table_says(kernel: str, mode: str, link: str, request: pytest.FixtureRequest) -> None:
    """Both observers agree, all laws hold, each stage is exact, nothing was lost."""
    if kernel == "6.12":
        request.getfixturevalue("slow")
    cell = run(kernel, mode, link)

    assert cell.problems == []
    assert cell.document.ledger.trustworthy
    assert [observation.lost for observation in cell.document.observations] == [0, 0]
    assert (cell.document.host.where, cell.document.experiment.lab) == ("lab", kernel)


def test_acknowledgements_that_take_four_seconds_are_waited_for(slow: Running) -> None:
    """Several round trips of 4 s, together longer than the deadline: each moves something, all arrives."""
    code, output, errors = slow.finish()
    assert code == 0, errors
    found = json.loads(output)

    assert (found["complete"], found["stuck"]) == (True, "")
    assert found["workload"]["elapsed_s"] > 10
    assert found["observed"]["received_bytes"] == found["observed"]["bytes_acked"] == SLOW_MESSAGES * SLOW_SIZE
