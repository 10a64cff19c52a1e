"""Quantities of cost: one definition for a run's table and for a sweep."""

from __future__ import annotations

import pytest

from tracer.books.quantities import CYCLES, DEMAND, MISSES, of_both_sides
from tracer.model import Counter


def counter(event: str, scope: str, value: float | None, source: str = "perf") -> Counter:
    return Counter(event=event, scope=scope, value=value, source=source)  # type: ignore[arg-type]


def test_both_sides_are_sender_and_receiver_together() -> None:
    """The system is left out: whatever else ran is in it."""
    counters = [counter("cycles", "sender", 300), counter("cycles", "receiver", 200), counter("cycles", "system", 900)]

    (found,) = of_both_sides(counters)

    assert (found.value, found.source) == (500, "perf")


def test_where_a_side_was_not_counted_the_system_stands_in_by_name() -> None:
    """A receiver on another machine; None where not even the system was counted."""
    lacking = [counter("cycles", "sender", 300), counter("cycles", "receiver", None)]

    (found,) = of_both_sides([*lacking, counter("cycles", "system", 900)])

    assert (found.value, found.source) == (900, "perf, whole system")
    assert of_both_sides(lacking) == []


def test_rates_are_for_an_amount_of_payload() -> None:
    """4 ms of CPU time and 4096 misses for 2 KiB."""
    assert CYCLES.over(4096, 2048) == 2
    assert DEMAND.over(4e6, 2048) == pytest.approx(2000)
    assert MISSES.over(4096, 2048) == 2048


@pytest.mark.parametrize(("value", "payload"), [(None, 2048), (4096, 0), (float("inf"), 2048), (float("nan"), 2048)])
def test_a_rate_of_nothing_is_unknown(value: float | None, payload: int) -> None:
    """No count, no payload, or no number: None, not 0."""
    assert MISSES.over(value, payload) is None
