"""Who does not move, from what both sides last said."""

from __future__ import annotations

from typing import Any

import pytest

from tracer.books.stuck import crawling, crawls, stuck

PULSE = {
    "bytes": 5_000_000, "sends": 50, "completions": 0, "bytes_acked": 4_000_000,
    "unacked": 0, "notsent_bytes": 1_000_000, "closed_windows": 0,
    "outstanding": 0,
}  # fmt: skip


def sentence(pulse: dict[str, Any] | None, stopped: tuple[Any, ...] = (), read: int | None = None) -> str:
    pulses: dict[Any, Any] = {} if pulse is None else {"sender": PULSE | pulse}
    if read is not None:
        pulses["receiver"] = {"bytes": read}
    return str(stuck(10.0, pulses, stopped, ("receiver", "sender")))


@pytest.mark.parametrize("role", ["receiver", "sender"])
def test_a_stopped_process_is_named_before_its_consequences(role: str) -> None:
    """Its queue is full and its packets wait, because nobody runs it."""
    told = sentence({"unacked": 3}, (role,))

    assert f"nothing has moved for 10 s: the {role}'s process is stopped" in told
    assert "SIGSTOP" in told


def test_a_closed_window_is_a_peer_that_does_not_read() -> None:
    """TCP has bytes that it may not send, whatever else is in flight."""
    told = sentence({"closed_windows": 1, "unacked": 1})

    assert "the peer has stopped reading" in told
    assert "the send calls took 5,000,000 B, the peer's TCP acknowledged 4,000,000 B" in told


def test_unacknowledged_segments_are_held_or_lost_on_the_way() -> None:
    """TCP has sent them, so it is not the peer's window; the queues are shown by tc."""
    told = sentence({"unacked": 3})

    assert "packets do not get through" in told
    assert "3 segments are in flight" in told
    assert "tc -s qdisc" in told


@pytest.mark.parametrize(("read", "words"), [(3_900_000, "has stopped reading"), (4_000_000, "do not get through")])
def test_a_receiver_of_ours_that_has_read_all_is_not_blamed(read: int, words: str) -> None:
    """Its window opened again, and that news was lost on the way."""
    assert words in sentence({"closed_windows": 1}, read=read)


def test_bytes_that_cannot_even_be_sent_are_not_laid_on_the_peer() -> None:
    """The device went down: nothing is in flight, and the window is open."""
    assert "packets do not get through" in sentence({})


def test_sends_that_nobody_notified_are_counted() -> None:
    """Everything arrived, and pages are still held."""
    told = sentence({"notsent_bytes": 0, "outstanding": 2})

    assert "2 of 50 zero-copy sends were never notified" in told


def test_without_any_word_of_the_sender_it_is_the_sender() -> None:
    """It runs, and has not said anything: no claim about the network."""
    told = sentence(None)

    assert "the sender does not answer" in told
    assert "tc -s" not in told


def test_what_tcp_does_not_tell_is_not_claimed() -> None:
    """An old kernel's TCP_INFO is shorter: None is no 0."""
    told = sentence({"bytes_acked": None, "unacked": None, "notsent_bytes": None})

    assert "acknowledged" not in told
    assert "the receiver and the sender does not end" in told


NARROW = {"closed_windows": 1, "window": 576, "segment": 1152, "bytes_acked": 4_000_000}


@pytest.mark.parametrize(
    ("pulse", "before", "read", "is_one"),
    [
        ({}, 3_995_000, 4_000_000, True),
        ({"closed_windows": 0, "window": None, "segment": None}, 3_995_000, 4_000_000, False),  # it is wide enough
        ({"window": 0}, 3_995_000, 4_000_000, False),  # and none at all is a reader that does not read
        ({}, 3_995_000, 3_900_000, False),  # as is one that has not read all
        ({}, 3_995_000, 3_989_000, False),
        ({}, 3_995_000, 3_998_848, True),  # a piece has come since it said how far it is
        ({}, 3_900_000, 4_000_000, False),  # more came through than by a timer
        ({}, 4_000_000, 4_000_000, False),  # nothing does: it is stuck
        ({}, None, 4_000_000, False),
    ],
)
def test_a_window_below_a_segment_is_a_crawl_though_all_is_read(
    pulse: dict[str, Any], before: int | None, read: int, is_one: bool
) -> None:
    """Some pieces a second of less than a segment each, by TCP's persist timer."""
    sender = PULSE | NARROW | pulse

    assert crawls({"sender": sender, "receiver": {"bytes": read}}, {"bytes_acked": before}) is is_one


def test_a_crawl_is_told_with_both_sizes() -> None:
    """By TCP's own word, and with what would help."""
    told = str(crawling(PULSE | NARROW))

    assert "it has room for 576 B, a segment has 1,152 B" in told
    assert "a larger --rcvbuf" in told
