"""Claims of the field (F1 to F4): evidence in which each is true, false, conditional, and undecidable."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.rulings import CONFIRMED, DEPENDS, REFUTED, UNDECIDED, outcome, ruling
from tests.samples import MESSAGES, PAYLOAD, changed, experiment, looped, recording, tracepoints, workload
from tests.sweep_samples import by_mode, plan, profile, runs
from tracer.model import Completions, CpuProfile, Link, Recording, StageCost, Tally
from tracer.study.claim_rules.findings import Outcome

SHARED = "cgroup_egress:shared"


def sendfile(linear: int = 0, size: int = 10007) -> Recording:
    """Over lo; `linear` of its bytes were made linear before the reader's TCP had them."""
    observation = tracepoints(
        cgroup_ingress__copied=(9, PAYLOAD - linear),
        cgroup_ingress__linear=(9, linear),
        skb_copy_datagram_iovec__copied=(11, PAYLOAD),
    )
    tallies = {**observation.tallies, SHARED: Tally(events=9, bytes=PAYLOAD)}
    asked = msgspec.structs.replace(experiment("sendfile"), size=size)
    return recording(
        msgspec.structs.replace(observation, tallies=tallies), "sendfile", experiment=asked,
        observed=workload("sendfile"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("recordings", "expected"),
    [
        ([sendfile()], CONFIRMED),
        ([sendfile(linear=PAYLOAD)], REFUTED),
        ([sendfile(), sendfile(linear=PAYLOAD, size=7)], DEPENDS),
        ([sendfile(linear=PAYLOAD // 2)], UNDECIDED),
        ([looped()], UNDECIDED),
        ([], UNDECIDED),
    ],
)
def test_f1_is_decided_by_what_the_sending_side_copied(recordings: list[Recording], expected: Outcome) -> None:
    """Nothing, everything, it depends; half of it, and no sendfile at all, decide nothing."""
    assert outcome("F1", recordings=recordings) is expected


def uring(notified: int | None, sampled: CpuProfile | None = None, mode: str = "uring-zerocopy") -> Recording:
    """So many notifications for its 23 requests."""
    done = None if notified is None else Completions(total=MESSAGES, copied=MESSAGES, zerocopy=0, ranges=notified)
    observed = workload(asked_sends=MESSAGES, completions=done)
    base = changed(looped(), observed=observed, profile=sampled)
    return changed(base, experiment=experiment(mode))


@pytest.mark.parametrize(
    ("recordings", "expected"),
    [
        ([uring(0)], CONFIRMED),
        ([uring(23)], REFUTED),
        ([uring(23), uring(0, mode="uring-zerocopy-fixed")], DEPENDS),
        ([uring(12)], UNDECIDED),
        ([uring(None)], UNDECIDED),
        ([looped()], UNDECIDED),
    ],
)
def test_f2_is_decided_by_the_notifications_of_requests(recordings: list[Recording], expected: Outcome) -> None:
    """None, one each, it depends; MSG_ZEROCOPY's own decide nothing."""
    assert outcome("F2", recordings=recordings) is expected


def test_f2_tells_what_notifications_took_of_the_cpu() -> None:
    """Of so many samples; one that was never hit took little, and not nothing."""
    stages = [StageCost(stage="completion", samples=40, share=0.04, ns_per_byte=0.1)]
    seen = msgspec.structs.replace(profile(), stages=stages)
    cases = [ruling("F2", recordings=[uring(23, one)]).cases[0].text for one in (seen, profile(timers=1.0), None)]

    assert cases[0].startswith("23 notifications for 23 requests; completion took 40 of 1,000 CPU samples (at most 6")
    assert "completion took 0 of 1,000 CPU samples (at most 0." in cases[1]
    assert cases[2] == "23 notifications for 23 requests"


def test_what_this_machine_could_not_do_is_told() -> None:
    """The claim stays open, with the reason."""
    found = ruling("F2", missing={"field": "uring-zerocopy on this machine: no io_uring, EPERM"})

    assert found.outcome is UNDECIDED
    assert "no io_uring, EPERM" in found.sentence


def crossing(at: float) -> Any:
    """zerocopy passes onecopy at a size; the steeper the further away."""
    return lambda mode, size, _: 10 * ((size / at) ** 0.3 if mode == "zerocopy" else 1.0)


def test_f3_is_decided_by_where_zero_copy_overtakes_one_copy() -> None:
    """At about 10 KB, far from there, nowhere near it, not to be told."""
    wide = plan(sizes=[1024, 4096, 16384, 65536, 262144])

    assert outcome("F3", of=runs(crossing(10240))) is CONFIRMED
    assert outcome("F3", of=runs(crossing(65536), of=wide)) is REFUTED
    assert outcome("F3", of=runs(by_mode(zerocopy=0.2))) is REFUTED
    assert outcome("F3", of=runs(by_mode())) is UNDECIDED
    assert outcome("F3", of=[]) is UNDECIDED


def test_f4_is_decided_over_loopback_alone() -> None:
    """Slower at every size, faster, slower at some sizes, not to be told; over another link nothing is decided."""
    slow = by_mode(zerocopy=0.2)

    assert outcome("F4", of=runs(slow)) is CONFIRMED
    assert outcome("F4", of=runs(by_mode(zerocopy=5.0))) is REFUTED
    assert outcome("F4", of=runs(crossing(10240))) is DEPENDS
    assert outcome("F4", of=runs(by_mode())) is UNDECIDED
    assert outcome("F4", of=runs(slow, link=Link.VETH)) is UNDECIDED
