"""What passed each place of a workload's link: bytes by its sockets' rows, packets and pages from beside them. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tracer.books.records import RECORDS_IN, RECORDS_OUT
from tracer.books.socket_rows import Row
from tracer.books.tracepoint_rows import Point, SkbState
from tracer.model import Tally
from tracer.model.sockets import SKB_STATES

# Whose bytes are in the rows, and the prefix of their counters there.
_IN_ROWS = {Point.EGRESS: "left", Point.INGRESS: "came"}
_POINTS_WITH_PAGES = frozenset({Point.EGRESS, Point.AGAIN})
_STATES_WITH_PAGES = frozenset({SkbState.ZEROCOPY, SkbState.MIXED})
_ALWAYS_TOLD = frozenset(SkbState)
PLACES = tuple((point, state) for point in Point for state in SKB_STATES)
"""In the order of the kernel side's array."""


def tallies_of(
    rows: Collection[Row], passed: Sequence[tuple[int, int, int]], points: Collection[Point]
) -> dict[str, Tally]:
    """A tally for each point that was watched and each state; of spliced pages only where there were any.

    Args:
        rows: Of all its sockets.
        passed: Events, bytes and pages, for each of PLACES.
    """
    found = {}
    for (point, state), (events, size, pages) in zip(PLACES, passed, strict=True):
        if point in points and (state in _ALWAYS_TOLD or events):
            found[f"{point}:{state}"] = Tally(
                events=events,
                bytes=_summed(rows, f"{_IN_ROWS[point]}_{state}") if point in _IN_ROWS else size,
                pages=pages if point in _POINTS_WITH_PAGES and state in _STATES_WITH_PAGES else None,
            )
    return found | _of_records(rows)


def _of_records(rows: Collection[Row]) -> dict[str, Tally]:
    """What kernel TLS says of its records; nothing where there is none."""
    found = {}
    for name, member in ((RECORDS_OUT, "records_out"), (RECORDS_IN, "records_in")):
        each = [(row.number(member), row.number("record_adds")) for row in rows if row.number("record_adds")]
        if each:
            number, size = sum(records for records, _ in each), sum(records * adds for records, adds in each)
            found[name] = Tally(events=number, bytes=size)
    return found


def _summed(rows: Collection[Row], counter: str) -> int:
    return sum(row.counters[counter] for row in rows)
