"""Why a mode costs more: the stage that takes most of the difference, and what its packets carry."""

from __future__ import annotations

import pytest

from tests.samples import changed, looped, recording, tracepoints, workload
from tracer.books.mechanics import NOTHING, Mechanics, mechanics_of, packet_text
from tracer.model.sockets import Packets, Totals
from tracer.study.why import Part, largest_part, why_dearer

SMALL = Mechanics(packet_bytes=1640.0, fragments=16.4, sends_per_message=1.0, completions_per_send=0.5)
LARGE = Mechanics(packet_bytes=20500.0, fragments=1.0, sends_per_message=1.0, completions_per_send=None)


def test_the_mechanics_are_means_of_what_was_counted() -> None:
    """Payload and fragments an skb, from the rows; notifications a send, from the engine."""
    totals = Totals(left=Packets(zerocopy=230161, packets=23, fragments=184))
    found = mechanics_of(changed(looped(), totals=totals))

    assert found == Mechanics(packet_bytes=10007, fragments=8, sends_per_message=1, completions_per_send=7 / 23)
    assert packet_text(found) == "10,007 B in 8.0 fragments"
    assert packet_text(LARGE) == "20,500 B in 1.0 fragment"


def test_what_nobody_counted_is_not_known() -> None:
    """No rows, no observed pass, no packet: None, and no words."""
    assert mechanics_of(looped()).packet_bytes is None
    assert mechanics_of(changed(looped(), observed=None)) == NOTHING
    assert mechanics_of(changed(looped(), totals=Totals())).fragments is None
    assert mechanics_of(recording(tracepoints(), "onecopy", observed=workload("onecopy"))).completions_per_send is None
    assert packet_text(NOTHING) == ""


def test_the_largest_part_is_of_what_takes_more() -> None:
    """What takes less is no part of the difference; its share is of all that takes more."""
    dear, cheap = {"timers": 0.5, "copy_in": 0.0, "pin": 0.2}, {"timers": 0.2, "copy_in": 0.3}
    found = largest_part(dear, cheap)

    assert found == Part("timers", pytest.approx(0.3), pytest.approx(0.6))


@pytest.mark.parametrize(("dear", "cheap"), [({}, {"pin": 1.0}), ({"pin": 1.0}, {}), ({"pin": 1.0}, {"pin": 1.0})])
def test_where_nothing_was_sampled_or_takes_more_there_is_no_part(
    dear: dict[str, float], cheap: dict[str, float]
) -> None:
    """Both sides must have been sampled."""
    assert largest_part(dear, cheap) is None


def test_the_reason_has_the_figures() -> None:
    """Of the stage, and of the packets where these are clearly smaller."""
    text = why_dearer(({"timers": 0.5}, SMALL), ({"timers": 0.2}, LARGE))

    assert text == (
        "timers takes 0.300 ns/B more, 100% of the difference; "
        "it takes 12.5x the packets (1,640 B in 16.4 fragments, not 20,500 B in 1.0 fragment)"
    )
    assert why_dearer(({}, LARGE), ({}, SMALL)) == ""
    assert why_dearer(({}, None), ({}, SMALL)) == ""
