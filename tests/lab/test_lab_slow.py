"""A way that is slow is no way that is blocked: in a guest, because it takes a queueing discipline on lo."""

from __future__ import annotations

import json
import sys

import pytest

from tests.command import nettrace

pytestmark = [pytest.mark.lab, pytest.mark.timeout(400)]

SIZE, MESSAGES = 100_003, 23
# Undone whatever happens: the guest is shared.
DELAYED = "trap 'tc qdisc del dev lo root' EXIT; tc qdisc add dev lo root netem delay 2s limit 10000 && "


def test_acknowledgements_that_take_four_seconds_are_waited_for() -> None:
    """Several round trips of 4 s, together longer than the deadline: each moves something, all arrives."""
    run = f"{sys.executable} -m tracer run zerocopy --size {SIZE} --messages {MESSAGES} --observer tracepoints --json"
    done = nettrace("lab", "exec", "--kernel", "6.12", "--", "sh", "-c", DELAYED + run, timeout=380)
    found = json.loads(done.stdout)

    assert (done.returncode, found["complete"], found["stuck"]) == (0, True, "")
    assert found["workload"]["elapsed_s"] > 10
    assert found["observed"]["received_bytes"] == found["observed"]["bytes_acked"] == MESSAGES * SIZE
