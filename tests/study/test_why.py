"""Why a mode costs more: the stage that takes most of the difference, and what its packets carry."""

from __future__ import annotations

import msgspec
import pytest

from tests.samples import changed, looped, recording, tracepoints, workload
from tests.sweep_samples import profile
from tracer.books.mechanics import NOTHING, Mechanics, mechanics_of, packet_text
from tracer.books.quantities import MIN_SAMPLES
from tracer.model import Experiment
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


def test_acks_are_by_the_packets_of_the_same_pass() -> None:
    """TCP's own count of the observed pass; without one, or without packets, not known."""
    totals, base = Totals(left=Packets(zerocopy=230161, packets=23, fragments=184)), looped()
    found = changed(base, totals=totals, observed=msgspec.structs.replace(base.observed, acks=46))

    assert mechanics_of(found).acks_per_packet == 2
    assert mechanics_of(changed(base, totals=totals)).acks_per_packet is None
    assert mechanics_of(changed(found, totals=Totals())).acks_per_packet is None


def test_the_share_of_timers_is_of_a_profile_of_enough_samples() -> None:
    """0 where it never hit one."""
    assert mechanics_of(changed(looped(), profile=profile(timers=0.5, pin=0.5))).timer_share == 0.5
    assert mechanics_of(changed(looped(), profile=profile(pin=1.0))).timer_share == 0
    few = msgspec.structs.replace(profile(timers=0.5), samples=MIN_SAMPLES - 1)
    assert mechanics_of(changed(looped(), profile=few)).timer_share is None


@pytest.mark.parametrize(
    ("mode", "asked", "of_host", "paced_by"),
    [
        ("zerocopy", None, "bbr", "bbr"), ("zerocopy", "bbr", "cubic", "bbr"), ("zerocopy", "cubic", "bbr", None),
        ("zerocopy", None, None, None), ("udp", None, "bbr", None),
    ],
)  # fmt: skip
def test_who_paces_is_the_congestion_control_of_this_connection(
    mode: str, asked: str | None, of_host: str | None, paced_by: str | None
) -> None:
    """What was set of it, else the host's; UDP has none."""
    there = msgspec.structs.replace(looped().host, congestion_control=of_host)
    found = changed(looped(), host=there, experiment=Experiment(mode=mode, size=1024, congestion=asked))

    assert mechanics_of(found).paced_by == paced_by


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
        "0.300 ns/B more in timers, 100% of the difference; "
        "12.5x the packets, of 1,640 B in 16.4 fragments instead of 20,500 B in 1.0 fragment"
    )
    assert why_dearer(({}, LARGE), ({}, SMALL)) == ""
    assert why_dearer(({}, None), ({}, SMALL)) == ""


def test_that_packets_are_paced_is_said_of_who_sends_more_of_them() -> None:
    """Both are paced; the one with few packets is no dearer by that."""
    paced = [msgspec.structs.replace(one, paced_by="bbr") for one in (SMALL, LARGE)]

    assert "instead of 20,500 B in 1.0 fragment, each paced by bbr" in why_dearer(({}, paced[0]), ({}, paced[1]))
    assert why_dearer(({}, paced[1]), ({}, paced[0])) == ""


@pytest.mark.parametrize(("share", "told"), [(0.56, True), (0.18, False), (None, False)])
def test_timers_are_told_of_where_they_take_clearly_more(share: float | None, told: bool) -> None:
    """9 points more are none; what was not sampled is not known."""
    dear, cheap = (msgspec.structs.replace(LARGE, timer_share=one) for one in (share, 0.09))

    assert why_dearer(({}, dear), ({}, cheap)) == ("56% of its CPU time in timers instead of 9%" if told else "")
    assert why_dearer(({}, dear), ({}, LARGE)) == ""


@pytest.mark.parametrize(("acks", "told"), [(1.0, True), (0.1, False), (None, False)])
def test_acks_are_told_of_where_there_are_clearly_more(acks: float | None, told: bool) -> None:
    """For as many bytes: 51 packets of 20,500 B make a MiB."""
    dear = msgspec.structs.replace(LARGE, acks_per_packet=acks)
    cheap = msgspec.structs.replace(LARGE, acks_per_packet=0.1)

    assert why_dearer(({}, dear), ({}, cheap)) == ("51 ACKs a MiB instead of 5" if told else "")
    assert why_dearer(({}, dear), ({}, LARGE)) == ""
