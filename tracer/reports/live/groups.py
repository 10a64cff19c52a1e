"""The sockets of a live view in groups, as lines."""

from __future__ import annotations

from collections.abc import Sequence

from tracer.books.live import Together
from tracer.reports.live.lines import DIM, Row
from tracer.reports.live.words import columns_within, speed
from tracer.texts import printable
from tracer.units import format_count


def rows_of_groups(groups: Sequence[Together], by: str, width: int, most: int) -> list[Row]:
    """A head, a line for each group, and one for the rest."""
    rest = [_summed(groups[most:])] if len(groups) > most else []
    cells = [(f"by {by}", "sockets", "now", "sent", "read"), *map(_cells, [*groups[:most], *rest])]
    lines = columns_within(cells, width, right=range(1, 5))
    last = len(lines) - 1 if rest else None
    return [(line, DIM if at in (0, last) else None) for at, line in enumerate(lines)]


def _cells(group: Together) -> tuple[str, ...]:
    now = "n/a" if group.now is None else speed(group.now)
    return (printable(group.name), f"{group.sockets:,}", now, format_count(group.sent), format_count(group.read))


def _summed(groups: Sequence[Together]) -> Together:
    now = None if any(one.now is None for one in groups) else sum(one.now or 0 for one in groups)
    sent, read = sum(one.sent for one in groups), sum(one.read for one in groups)
    return Together(f"{len(groups):,} more", sum(one.sockets for one in groups), sent, read, now)
