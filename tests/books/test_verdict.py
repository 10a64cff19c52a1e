"""The one sentence: every case from a literal recording."""

from __future__ import annotations

from tests.samples import MESSAGES, PAGES, PAYLOAD, changed, copied, looped, recording, tracepoints, workload
from tracer.books.analysis import document_of
from tracer.model import Link, Recording, Verdict


def verdict(sample: Recording) -> Verdict:
    return document_of(sample).verdict


def test_loopback_copies_zero_copy_after_all():
    """The headline: asked for, pinned, copied all the same, because of the loop to a local socket."""
    found = verdict(looped())

    assert found.code == "copied-by-loopback"
    assert "every byte was pinned, but every byte was copied after all" in found.sentence
    assert f"{MESSAGES} of {MESSAGES} say copied" in found.sentence
    assert any("--link nic --lab" in step for step in found.next)


def test_veth_is_named_where_it_is_the_cause():
    """The sentence names the link that looped the packets."""
    sample = changed(looped(), experiment=recording(tracepoints(), link=Link.VETH).experiment)

    assert "veth delivers packets to a local socket" in verdict(sample).sentence


def test_a_copying_mode_is_copied_once():
    """One copy in; the packing copy of two-copy is named as the sender's own."""
    assert verdict(copied("onecopy")).code == "copied"
    assert "packed by the sender" in verdict(copied("twocopy")).sentence
    assert "packed" not in verdict(copied("onecopy")).sentence


def test_a_nic_seen_by_tracepoints_alone_is_undecided():
    """Completions that say "not copied" are no proof: below the driver nobody watched."""
    observation = tracepoints(cgroup_egress__zerocopy=(9, PAYLOAD, PAGES))
    found = verdict(recording(observation, link=Link.NIC, observed=workload(copied=0, received_bytes=None)))

    assert found.code == "undecided"
    assert "deferred copy and bounce" in found.sentence


def test_linear_packets_prove_the_completion_flag_wrong():
    """Linearized payload with completions that say "not copied": the report says how many are wrong."""
    observation = tracepoints(cgroup_egress__zerocopy=(9, PAYLOAD, PAGES), net_dev_start_xmit__linear=(160, PAYLOAD))
    found = verdict(recording(observation, link=Link.NIC, observed=workload(copied=5, received_bytes=None)))

    assert found.code == "copied-without-sg"
    assert f"flag is wrong: {MESSAGES - 5} of {MESSAGES}" in found.sentence


def test_mixed_traffic_is_recognised():
    """skbs that hold both kinds are reported as such, not guessed apart."""
    observation = tracepoints(
        cgroup_egress__mixed=(9, PAYLOAD, 30),
        cgroup_ingress__copied=(9, PAYLOAD),
        skb_copy_datagram_iovec__copied=(11, PAYLOAD),
    )

    assert verdict(recording(observation)).code == "mixed"


def test_a_broken_law_is_said_first():
    """No verdict on top of books that do not balance."""
    found = verdict(changed(looped(), observed=workload(payload_bytes=PAYLOAD + 1)))

    assert found.code == "untrustworthy"
    assert "law T.L2 is broken" in found.sentence


def test_an_interrupt_before_the_observed_pass_is_said():
    """A partial result claims nothing."""
    assert verdict(changed(looped(), observed=None, observations=[], complete=False)).code == "interrupted"


def test_the_overhead_is_the_ratio_of_times_per_byte():
    """0.0011 s observed over 0.001 s bare."""
    assert round(document_of(looped()).overhead.observed_over_bare, 6) == 1.1


def test_an_interrupted_observed_pass_has_no_overhead():
    """Half a pass is not compared with a whole one."""
    assert document_of(changed(looped(), complete=False)).overhead.observed_over_bare is None
