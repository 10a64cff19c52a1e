"""Points, states and places stand in one Python table each; the C enums are made of them, and read in their order."""

from __future__ import annotations

import re

import pytest

from tracer.books.drops import Place, drop_name
from tracer.books.function_rows import Row
from tracer.books.socket_rows import COUNTERS
from tracer.books.tracepoint_rows import Point
from tracer.model import Tally
from tracer.model.sockets import SKB_STATES
from tracer.observers import drops, functions, tracepoints
from tracer.observers.source_text import whole_text

FUNCTIONS, TRACEPOINTS = whole_text("functions.bpf.c"), whole_text("sockets.bpf.c")


def test_a_drop_is_read_from_the_place_where_c_has_counted_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """C's number of a place and the name it is read under come from one table."""
    monkeypatch.setattr(drops, "_reasons", lambda: {3: "QDISC_DROP"})
    names = str(drops.DEFINES["NT_PLACES"]).split(",")
    found = drops.tallies_of_drops((3, number, 1, 10007 + number) for number, _ in enumerate(names))

    assert found == {
        drop_name("QDISC_DROP", Place[name]): Tally(events=1, bytes=10007 + number) for number, name in enumerate(names)
    }


@pytest.mark.parametrize(
    ("flags", "name", "table", "text"),
    [
        (tracepoints.DEFINES, "NT_POINTS", Point, TRACEPOINTS),
        (tracepoints.DEFINES, "NT_PLACES", Place, TRACEPOINTS),
        (functions.defines([], stacks=False), "NT_PLACES", Place, FUNCTIONS),
    ],
)  # fmt: skip
def test_the_enums_are_made_of_the_tables_in_their_order(flags, name, table, text) -> None:
    """And the program counts at each member."""
    assert flags[name] == ",".join(member.name for member in table)
    assert re.search(rf"enum \w+ {{ {name}, ", text)
    assert [member.name for member in table if not re.search(rf"\b{member.name}\b", text)] == []


def test_the_names_of_one_program_do_not_collide() -> None:
    """C has one space of names for all enumerators."""
    of_rows = [name.upper() for name in (*COUNTERS, *SKB_STATES)]
    for tables, others in (((Row, Place), []), ((Point, Place), of_rows)):
        names = [*(member.name for table in tables for member in table), *others]

        assert len(names) == len(set(names))
        assert all(re.fullmatch("[A-Z][A-Z_]*", name) for name in names)
