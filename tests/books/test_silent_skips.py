"""Tracepoints that were passed over uncounted: found where something hangs on them, and nowhere else."""

from __future__ import annotations

import pytest

from tests.samples import tracepoints
from tracer.books.silent_skips import silent_skips
from tracer.books.tracepoint_rows import SkbState

DROPPED = {"kfree_skb__sent__QDISC_DROP": (3, 3000)}


def seen(*, arrived: tuple[int, int], given: tuple[int, int], **other: tuple[int, ...]) -> int:
    device = {f"net_dev_start_xmit__{state}": (0, 0) for state in SkbState} | {"net_dev_start_xmit__zerocopy": given}
    return silent_skips(tracepoints(cgroup_ingress__copied=arrived, **device, **other))


def test_what_arrived_was_given_to_a_device_before():
    """So a packet that the device's tracepoint lacks was passed over there, and drops may have been, too."""
    assert seen(arrived=(9, 9000), given=(7, 7000), **DROPPED) == 2


def test_one_at_least_where_the_device_had_more_and_smaller_packets():
    """Bytes tell it; a device that cannot segment was given more packets than arrived."""
    assert seen(arrived=(9, 9000), given=(12, 8000), **DROPPED) == 1


@pytest.mark.parametrize("given", [(9, 9000), (11, 11000)])
def test_nothing_was_passed_over_where_the_device_had_all(given):
    """Or more: what was lost after it."""
    left = (14, given[1] + 3000, 0)

    assert seen(arrived=(9, 9000), given=given, cgroup_egress__zerocopy=left, **DROPPED) == 0


@pytest.mark.parametrize("dropped", [DROPPED, {}])
def test_what_left_ip_was_given_to_a_device_or_dropped(dropped):
    """What was neither was dropped while nobody looked; some of it, or all."""
    assert seen(arrived=(9, 9000), given=(9, 9000), cgroup_egress__zerocopy=(14, 13000, 0), **dropped) == 1


def test_nothing_hangs_on_it_where_all_arrived_and_nothing_was_dropped_or_doubled():
    """The books are the cgroup programs' alone there, and no pass is done again for nothing."""
    assert seen(arrived=(9, 9000), given=(7, 7000), cgroup_egress__zerocopy=(9, 9000, 0)) == 0


def test_a_device_that_nobody_watched_tells_nothing():
    """A recording of before it was."""
    assert silent_skips(tracepoints(cgroup_ingress__copied=(9, 9000), **DROPPED)) == 0
