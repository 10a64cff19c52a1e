"""The engine's own arithmetic: histogram, pattern, and the books on zero-copy completions; no kernel involved."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from workloads.engine._engine import ffi, lib

from tracer.books.receiving import RECEIVES
from workloads.child.crew import numbered
from workloads.child.latency import percentile

U32 = 1 << 32
CAPACITY = 64
BUFFERS = 4


@contextmanager
def tracker_from(first_id: int, sends: int = 0, capacity: int = CAPACITY) -> Iterator[Any]:
    tracker = ffi.new("struct engine_tracker *")
    assert lib.engine_tracker_open(tracker, first_id % U32, capacity, BUFFERS) == 0
    try:
        for send in range(sends):
            assert lib.engine_tracker_sent(tracker, send % BUFFERS) == 0
        yield tracker
    finally:
        lib.engine_tracker_close(tracker)


def notify(tracker: Any, low: int, high: int) -> int:
    return int(lib.engine_tracker_notified(tracker, low % U32, high % U32))


def pending(tracker: Any) -> list[int]:
    return [tracker.pending[buffer] for buffer in range(BUFFERS)]


@st.composite
def partitions(draw: st.DrawFn) -> list[tuple[int, int]]:
    """Ranges that cover 0 .. n-1 once, in any order."""
    sends = draw(st.integers(1, CAPACITY))
    cuts = sorted(draw(st.sets(st.integers(1, sends - 1), max_size=sends - 1)) if sends > 1 else [])
    ranges = [(low, high - 1) for low, high in zip([0, *cuts], [*cuts, sends], strict=True)]
    return draw(st.permutations(ranges))


# Ids that are about to wrap are as likely as any others.
first_ids = st.one_of(st.integers(0, U32 - 1), st.integers(U32 - 2 * CAPACITY, U32 - 1))


@given(first_ids, partitions())
def test_any_partition_in_any_order_completes_every_send_once(first: int, ranges: list[tuple[int, int]]) -> None:
    """Whatever ranges the kernel merges and in whatever order they come, all buffers are free at the end."""
    sends = sum(high - low + 1 for low, high in ranges)
    with tracker_from(first, sends) as tracker:
        results = [notify(tracker, first + low, first + high) for low, high in ranges]

        assert results == [0] * len(ranges)
        assert (tracker.outstanding, tracker.oldest) == (0, (first + sends) % U32)
        assert pending(tracker) == [0] * BUFFERS


@given(first_ids, partitions(), st.data())
def test_a_gap_stays_outstanding(first: int, ranges: list[tuple[int, int]], data: st.DataObject) -> None:
    """A range that never comes is counted as missing, and its buffers stay in use."""
    lost = data.draw(st.sampled_from(ranges))
    with tracker_from(first, sum(high - low + 1 for low, high in ranges)) as tracker:
        for low, high in ranges:
            if (low, high) != lost:
                assert notify(tracker, first + low, first + high) == 0

        assert tracker.outstanding == lost[1] - lost[0] + 1 == sum(pending(tracker))
        assert tracker.oldest == (first + lost[0]) % U32


@given(first_ids, partitions(), st.data())
def test_a_duplicate_is_refused_and_changes_nothing(
    first: int, ranges: list[tuple[int, int]], data: st.DataObject
) -> None:
    """An id that is notified twice is an error, wherever in a range it lies."""
    done = data.draw(st.integers(1, len(ranges)))
    again_low, again_high = data.draw(st.sampled_from(ranges[:done]))
    again = data.draw(st.integers(again_low, again_high))
    with tracker_from(first, sum(high - low + 1 for low, high in ranges)) as tracker:
        for low, high in ranges[:done]:
            notify(tracker, first + low, first + high)
        before = (tracker.outstanding, tracker.oldest, pending(tracker))

        assert notify(tracker, first + again, first + again) == lib.ENGINE_DUPLICATE
        assert (tracker.outstanding, tracker.oldest, pending(tracker)) == before


@pytest.mark.parametrize(("low", "high"), [(5, 5), (0, 5), (4, 3), (1000, 1001)])
def test_an_id_that_no_send_has_had_is_refused(low: int, high: int) -> None:
    """Ids from 0 to 4 were sent: 5, a range beyond it and a range that runs backwards are nonsense."""
    with tracker_from(0, 5) as tracker:
        assert notify(tracker, low, high) == lib.ENGINE_UNKNOWN_ID
        assert tracker.outstanding == 5


def test_a_full_tracker_takes_no_more_sends_until_the_oldest_is_notified() -> None:
    """A gap at the front blocks, however many later sends are done."""
    with tracker_from(U32 - 2, 8, capacity=8) as tracker:
        notify(tracker, U32 - 1, 3)

        assert lib.engine_tracker_sent(tracker, 0) == -28  # ENOSPC
        assert notify(tracker, U32 - 2, U32 - 2) == 0
        assert lib.engine_tracker_sent(tracker, 0) == 0


@given(st.integers(0, (1 << 64) - 1))
def test_a_value_lies_in_its_bucket_and_a_bucket_is_narrow(value: int) -> None:
    """No bucket is wider than 1/64 of its least value, 1.6 %."""
    bucket = lib.engine_bucket_of(value)
    low = lib.engine_bucket_floor(bucket)
    high = lib.engine_bucket_floor(bucket + 1) if bucket + 1 < lib.ENGINE_BUCKETS else 1 << 64

    assert 0 <= bucket < lib.ENGINE_BUCKETS
    assert low <= value < high
    assert high - low <= max(1, low / 64)


@given(st.lists(st.integers(0, 1 << 40), min_size=1, max_size=200), st.sampled_from([50, 90, 99]))
def test_a_percentile_is_within_a_bucket_of_the_exact_one(values: list[int], percent: int) -> None:
    """Half a bucket, 0.8 %, is all that the histogram loses; nothing exceeds the exact maximum."""
    buckets = [0] * lib.ENGINE_BUCKETS
    for value in values:
        buckets[lib.engine_bucket_of(value)] += 1

    exact = sorted(values)[-(-len(values) * percent // 100) - 1]

    assert abs(percentile(buckets, percent, max(values)) - exact) <= exact / 64 + 1
    assert percentile(buckets, percent, max(values)) <= max(values)


def test_the_pattern_shows_a_lost_byte_and_a_buffer_that_was_reused() -> None:
    """Neighbouring bytes differ, and so does the same byte of the next messages for as many as a pool can hold."""
    byte = lib.engine_pattern_byte

    assert all(byte(7, position) != byte(7, position + 1) for position in range(70_000))
    for distance in range(1, 257):
        differing = sum(byte(3, position) != byte(3 + distance, position) for position in range(1000))
        assert differing >= 250, distance


def received(data: bytes, size: int, take: str = "recv") -> Any:
    """What the engine's receiver says about a stream that was not sent by its sender."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    with ours, theirs:
        theirs.sendall(data)
        theirs.shutdown(socket.SHUT_WR)
        receiver = ffi.new("struct engine_receiver *")
        receiver.fd, receiver.verify, receiver.message_bytes, receiver.buffer_bytes = ours.fileno(), 1, size, 4096
        receiver.take = numbered(f"take_{take}")
        assert lib.engine_receiver_open(receiver) == 0
        result = lib.engine_receive(receiver)
        lib.engine_receiver_close(receiver)
        return result, receiver


def stream(messages: int, size: int) -> bytearray:
    return bytearray(lib.engine_pattern_byte(*divmod(at, size)) for at in range(messages * size))


DAMAGES: dict[str, tuple[Callable[[bytearray], bytearray], int]] = {
    "nothing": (lambda data: data, -1),
    "a wrong byte": (lambda data: data[:5000] + bytes([data[5000] ^ 1]) + data[5001:], 5000),
    "a lost byte": (lambda data: data[:5000] + data[5001:], 5000),
    "two bytes swapped": (lambda data: data[:5000] + data[5001:5002] + data[5000:5001] + data[5002:], 5000),
    "a message repeated": (lambda data: data[:2002] + data[1001:2002] + data[3003:], 2002),
}


@pytest.mark.parametrize("take", [one.name for one in RECEIVES if one.is_seen])
@pytest.mark.parametrize("damage", DAMAGES)
def test_the_receiver_finds_the_first_wrong_byte(damage: str, take: str) -> None:
    """Whatever happened to the payload, the offset is that of the first byte that differs, and all are counted."""
    change, wrong_at = DAMAGES[damage]
    data = change(stream(11, 1001))

    result, receiver = received(bytes(data), 1001, take)

    assert result == (0 if wrong_at < 0 else lib.ENGINE_PATTERN)
    assert receiver.bytes == len(data)
    if wrong_at >= 0:
        assert receiver.wrong_offset == wrong_at
        assert receiver.wrong_byte == data[wrong_at]
        assert receiver.expected_byte == lib.engine_pattern_byte(*divmod(wrong_at, 1001))
