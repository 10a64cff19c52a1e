"""Claims on bytes (S1 to S5): evidence in which each is true, false, conditional, and undecidable."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.rulings import CONFIRMED, DEPENDS, REFUTED, UNDECIDED, outcome, ruling
from tests.samples import MESSAGES, PAYLOAD, copied, host, looped, recording, tracepoints, workload
from tests.sweep_samples import few, profiled
from tracer.model import Experiment, Link, Observation, Recording, Tally


def over_nic(
    mode: str,
    *,
    pinned: int | None = None,
    linearized: int = 0,
    bounced: int = 0,
    deferred: int = 0,
    **asked: Any,
) -> Recording:
    """What the function observer counts over a NIC; balanced, as far as its laws go."""
    if pinned is None:
        pinned = PAYLOAD if mode == "zerocopy" else 0
    counts = {
        "tcp_sendmsg_locked:return": PAYLOAD,
        "skb_zerocopy_iter_stream:return": pinned,
        "skb_splice_from_iter:return": 0,
        "skb_copy_ubufs:return": deferred,
        "skb_copy_bits:segment": linearized,
        "__pskb_pull_tail:linearize": 0,
        "__pskb_pull_tail:pull": 0,
        "skb_copy_bits:entry": linearized,
        "swiotlb_map:payload": bounced,
        "dma_map_page_attrs:payload": PAYLOAD,
    }
    tallies = {name: Tally(events=1 if size else 0, bytes=size) for name, size in counts.items()}
    observation = Observation(observer="functions", tallies=tallies, lost=0)
    experiment = Experiment(mode=mode, size=10007, messages=MESSAGES, link=Link.NIC, **asked)
    base = recording(
        observation, mode, Link.NIC, experiment=experiment, host=host(where="lab", emulated=True, cpu="QEMU TCG")
    )
    return msgspec.structs.replace(base, observed=workload(mode, copied=0, received_bytes=None))


NO_SG = {"linearized": PAYLOAD, "scatter_gather": False}
BOUNCED = {"bounced": PAYLOAD, "bounce": True}


def half_copied_in() -> Recording:
    """two-copy of which half came by another way."""
    return over_nic("twocopy", pinned=PAYLOAD // 2)


def test_s1_holds_where_the_send_call_copies_every_byte():
    """copy_in = payload."""
    assert outcome("S1", recordings=[copied("twocopy")]) is CONFIRMED


def test_s1_falls_where_the_send_call_copies_fewer():
    """Half the bytes came by another way."""
    assert outcome("S1", recordings=[half_copied_in()]) is REFUTED


def test_s1_is_open_without_a_two_copy_run_that_can_be_trusted():
    """Another mode's run, or one whose books do not balance, decides nothing."""
    broken = copied("twocopy", observed=workload("twocopy", received_bytes=PAYLOAD - 1))

    assert outcome("S1", recordings=[looped()]) is UNDECIDED
    found = ruling("S1", recordings=[broken])
    assert found.outcome is UNDECIDED
    assert "not trustworthy" in found.missing


@pytest.mark.parametrize(
    ("recordings", "expected"),
    [
        ([over_nic("twocopy", **NO_SG)], CONFIRMED),
        ([over_nic("twocopy", **BOUNCED)], CONFIRMED),
        ([over_nic("twocopy")], REFUTED),
        ([over_nic("twocopy"), over_nic("twocopy", **NO_SG), over_nic("twocopy", **BOUNCED)], DEPENDS),
        ([copied("twocopy")], UNDECIDED),
        ([over_nic("onecopy", **NO_SG)], UNDECIDED),
        ([], UNDECIDED),
    ],
)
def test_s2_hangs_on_scatter_gather_and_the_bounce_buffer(recordings, expected):
    """Only a NIC can tell; loopback, where no device reads the bytes, decides nothing."""
    assert outcome("S2", recordings=recordings) is expected


def test_s2_names_what_it_depends_on():
    """One thing alone where one does; else all that differs."""
    found = ruling("S2", recordings=[over_nic("twocopy"), over_nic("twocopy", **NO_SG)])

    assert found.depends_on == ["scatter-gather"]
    assert "depends on scatter-gather" in found.sentence


def test_s2_needs_to_have_seen_the_bounce_buffer():
    """Tracepoints cannot; what nobody observed is not absent."""
    observation = tracepoints(net_dev_start_xmit__copied=(9, PAYLOAD))
    unseen = recording(observation, "twocopy", Link.NIC, observed=workload("twocopy", received_bytes=None))

    assert outcome("S2", recordings=[unseen]) is UNDECIDED


def test_s3_holds_where_two_copies_take_most_of_the_time():
    """Both exist and dominate."""
    found = [profiled("twocopy", copy_in=0.4, linearize=0.3, locks=0.3), over_nic("twocopy", **NO_SG)]

    assert outcome("S3", recordings=found) is CONFIRMED


@pytest.mark.parametrize(
    "recordings",
    [
        [profiled("twocopy", copy_in=0.3, copy_out=0.3, locks=0.4)],
        [profiled("twocopy", copy_in=0.9, locks=0.1), over_nic("twocopy")],
    ],
)
def test_s3_falls_where_copies_are_cheap_or_there_is_only_one(recordings):
    """A share under a half; or no second copy on a NIC."""
    assert outcome("S3", recordings=recordings) is REFUTED


@pytest.mark.parametrize(
    "recordings",
    [
        [],
        [copied("twocopy")],
        [profiled("twocopy", copy_in=0.9)],
        [profiled("twocopy", copy_in=0.3, unmapped=0.3, locks=0.4)],
        [profiled("onecopy", copy_in=0.1)],
        [msgspec.structs.replace(profiled("twocopy", copy_in=0.1), host=host(emulated=True))],
    ],
)
def test_s3_is_open_without_a_profile_of_a_real_cpu(recordings):
    """And where nobody looked for the second copy."""
    assert outcome("S3", recordings=recordings) is UNDECIDED


@pytest.mark.parametrize(
    ("evidence", "lacks"),
    [
        (few("twocopy", 14, copy_in=0.1, locks=0.9), "more samples: 100 at least"),
        (few("twocopy", 99, copy_in=0.1, locks=0.9), "more samples: 100 at least"),
        (few("twocopy", 1000, copy_in=0.1, locks=0.6, unmapped=0.3), "at most 20% of it unattributed"),
        (few("twocopy", 100, copy_in=0.45, locks=0.55), "less unattributed"),
    ],
)
def test_s3_is_open_where_a_profile_says_too_little(evidence, lacks):
    """A dozen samples, or a profile that does not know where a third of the time went: it refuted the claim once."""
    found = ruling("S3", recordings=[evidence, over_nic("twocopy")])

    assert found.outcome is UNDECIDED
    assert lacks in found.missing


def test_s3_falls_by_a_hundred_samples():
    """If their share is clear."""
    assert outcome("S3", recordings=[few("twocopy", 100, copy_in=0.1, locks=0.9)]) is REFUTED


def test_s4_holds_where_only_the_packing_differs():
    """1x and 0x packed, all else alike."""
    assert outcome("S4", recordings=[copied("twocopy"), copied("onecopy")]) is CONFIRMED


def test_s4_falls_where_another_stage_differs_or_packing_stays():
    """Wrong either way."""
    packs_too = copied("onecopy", observed=workload("onecopy", packed_bytes=PAYLOAD))

    assert outcome("S4", recordings=[half_copied_in(), over_nic("onecopy")]) is REFUTED
    assert outcome("S4", recordings=[copied("twocopy"), packs_too]) is REFUTED


def test_s4_is_open_without_a_pair_that_differs_in_nothing_else():
    """One mode alone; or two sizes."""
    larger = msgspec.structs.replace(copied("onecopy"), experiment=Experiment(mode="onecopy", size=4096, messages=1))

    assert outcome("S4", recordings=[copied("twocopy")]) is UNDECIDED
    assert outcome("S4", recordings=[copied("twocopy"), larger]) is UNDECIDED


@pytest.mark.parametrize(
    ("recordings", "expected"),
    [
        ([over_nic("zerocopy")], CONFIRMED),
        ([looped()], REFUTED),
        ([over_nic("zerocopy", deferred=PAYLOAD)], REFUTED),
        ([over_nic("zerocopy", **NO_SG, pinned=0)], REFUTED),
        ([over_nic("zerocopy"), looped()], DEPENDS),
        ([over_nic("zerocopy"), over_nic("zerocopy", **BOUNCED)], DEPENDS),
        ([copied("twocopy")], UNDECIDED),
        ([], UNDECIDED),
    ],
)
def test_s5_is_true_on_a_nic_that_gathers_and_nowhere_else(recordings, expected):
    """The ledger decides, not the completion's flag."""
    assert outcome("S5", recordings=recordings) is expected


def test_s5_says_that_a_nic_was_not_examined():
    """Loopback alone refutes the claim as it stands, and does not speak for NICs."""
    assert "not examined" in ruling("S5", recordings=[looped()]).sentence
