"""A way that is slow is no way that is blocked: in a guest, because it takes a queueing discipline on lo."""

from __future__ import annotations

import pytest

from tests.command import document

pytestmark = [pytest.mark.lab, pytest.mark.timeout(400)]

# As few as take several round trips, since each has to be waited for.
SIZE, MESSAGES = 100_003, 7


def test_acknowledgements_that_take_four_seconds_are_waited_for() -> None:
    """Several round trips of 4 s, together longer than the deadline: each moves something, all arrives."""
    found = document(
        "zerocopy", "--size", SIZE, "--messages", MESSAGES, "--observer", "tracepoints", "--lab", "6.12",
        "--setup", "tc qdisc add dev lo root netem delay 2s limit 10000", timeout=380,
    )  # fmt: skip

    assert (found["complete"], found["stuck"]) == (True, "")
    assert found["workload"]["elapsed_s"] > 10
    assert found["observed"]["received_bytes"] == found["observed"]["bytes_acked"] == MESSAGES * SIZE
