"""A law's two sides, and what may lie between them."""

from __future__ import annotations

import pytest

from tracer.books.equations import Slack, at_least, law
from tracer.model import LawState


@pytest.mark.parametrize(
    ("left", "right", "state"),
    [(7, 7, LawState.HOLDS), (7, 8, LawState.BROKEN), (None, 7, LawState.UNKNOWN), (7, None, LawState.UNKNOWN)],
)
def test_equal_holds_different_is_broken_and_unseen_is_unknown(left, right, state):
    """Without slack, to the byte."""
    assert law("F.L0", "a = b", left, right).state is state


def test_what_explains_a_difference_is_added_and_told():
    """The sides are equal then, and the note says by what."""
    found = law("F.L0", "a = b", 130, 100, more=Slack(40, "sent again"))

    assert (found.left, found.right, found.state) == (130, 130, LawState.HOLDS)
    assert found.note == "30 B sent again"


def test_slack_works_in_its_own_direction_alone():
    """Bytes that were dropped explain why fewer came, never why more did."""
    assert law("F.L0", "a = b", 100, 130, more=Slack(40, "")).state is LawState.BROKEN
    assert law("F.L0", "a = b", 100, 130, less=Slack(40, "")).state is LawState.HOLDS


@pytest.mark.parametrize(("left", "right", "side"), [(9, 5, "left"), (5, 9, "right")])
def test_a_broken_law_says_which_side_has_more_and_by_how_much(left, right, side):
    """And what could be the reason; a law that holds explains nothing."""
    found = law("F.L0", "a = b", left, right, reasons="a qdisc")

    assert found.explanation == f"the {side} side has 4 more; the reason could be a qdisc"
    assert law("F.L0", "a = b", 5, 5, reasons="a qdisc").explanation == ""


def test_a_bound_from_below_is_broken_only_from_below():
    """Ten copies behind three completions are no contradiction; two are."""
    assert at_least("F.L8", "a <= b", 3, 10, "").state is LawState.HOLDS
    assert at_least("F.L8", "a <= b", 3, 2, "").state is LawState.BROKEN
    assert at_least("F.L8", "a <= b", 3, None, "").state is LawState.UNKNOWN


def test_an_explanation_that_counts_only_a_part_makes_a_larger_difference_unknown():
    """Duplicates are there, and nobody can say how many: neither proof nor contradiction. Without any, it is broken."""
    assert law("F.L0", "a = b", 150, 100, more=Slack(40, "came twice", is_part=True)).state is LawState.UNKNOWN
    assert law("F.L0", "a = b", 140, 100, more=Slack(40, "came twice", is_part=True)).state is LawState.HOLDS
    assert law("F.L0", "a = b", 150, 100, more=Slack(0, "came twice", is_part=True)).state is LawState.BROKEN
