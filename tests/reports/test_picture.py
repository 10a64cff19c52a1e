"""The picture of the byte's way: a step a cause, a branch for what leads aside."""

from __future__ import annotations

from tests.entry_samples import over_peer, tapped_lo, tapped_nic, with_drops
from tests.function_samples import on_nic
from tracer.books.analysis import document_of
from tracer.reports.picture import draw_path


def test_a_taps_copy_is_a_branch_and_the_receivers_is_a_step():
    """One line for each of them; the place after the branch is the same."""
    lines = draw_path(tapped_lo())

    assert lines[2:6] == [
        "  [socket buffer (skb)]",
        "     ├─ copied aside (packet tap): 230,161 B, 1x  skb_copy_ubufs",
        "     │  copied after all: the deferred copy (local delivery): 230,161 B, 1x  skb_copy_ubufs",
        "  [receiver's socket, looped by lo]",
    ]


def test_a_tap_on_a_nic_leads_to_no_receiver():
    """The way ends at the device."""
    lines = draw_path(tapped_nic())

    assert lines[-1] == "  [device]"
    assert not any("receiver" in line for line in lines)


def test_each_place_that_drops_is_a_branch():
    """With its own bytes."""
    lines = draw_path(with_drops())

    assert "     ├─ dropped: 2,896 B, 0.013x  qdisc netem on lo" in lines
    assert "     ├─ dropped: 1,448 B, 0.006x  qdisc tbf on lo" in lines


def test_functions_of_one_cause_are_one_step_with_their_sum():
    """Segmented and linearized packets are the whole payload together."""
    lines = draw_path(document_of(on_nic(scatter_gather=False)))

    assert (
        "     │  copied into linear packets (no scatter-gather): 230,161 B, 1x  skb_segment, __pskb_pull_tail" in lines
    )


def test_what_nobody_observed_leads_nowhere():
    """A question is no place."""
    lines = draw_path(document_of(over_peer("bridge")))

    assert lines[-3:] == [
        "     │  copied into the bounce buffer? not observed",
        "     │  copied after all: the deferred copy? not observed",
        "  [socket buffer (skb)]",
    ]
