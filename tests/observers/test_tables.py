"""The order of rows, points, states and places is written once, in Python; the C enums are made from it."""

from __future__ import annotations

import re
import subprocess
from enum import StrEnum
from itertools import product
from pathlib import Path

import pytest

from tracer.books.drops import Place
from tracer.books.function_rows import Row
from tracer.books.tracepoint_points import Point, State, tally_name
from tracer.observers import functions, tracepoints
from tracer.observers.program import read_source

FUNCTIONS, TRACEPOINTS = read_source("functions.bpf.c"), read_source("tracepoints.bpf.c")


def swapped(table: type[StrEnum], first: str, second: str) -> list[StrEnum]:
    """The members of a table with two of them in each other's place."""
    members = list(table)
    one, other = members.index(table[first]), members.index(table[second])
    members[one], members[other] = members[other], members[one]
    return members


def compiles(tmp_path: Path, text: str) -> bool:
    source = tmp_path / "enum.c"
    source.write_text(text)
    return subprocess.run(["gcc", "-fsyntax-only", str(source)], capture_output=True).returncode == 0


@pytest.mark.parametrize(("table", "first", "second"), [(Row, "COPY_UBUFS", "LINEARIZE"), (Row, "CHECK_ANY", "DMA")])
def test_two_rows_that_change_places_are_still_counted_under_their_own_names(
    monkeypatch, tmp_path, table, first, second
):
    """C's index of a row and the place it is read from move together."""
    order = swapped(table, first, second)
    monkeypatch.setattr(functions, "Row", order)
    names = functions.defines([])["NT_ROWS"]
    index = order.index(table[first])
    sums = [(0, 0, 0)] * index + [(1, 10007, 0)] + [(0, 0, 0)] * (len(order) - index - 1)

    found = functions.tallies_of(sums, {symbol for row in Row for symbol in row.needs})

    assert {name for name, tally in found.items() if tally.bytes} == {table[first].value}
    assert compiles(tmp_path, f'enum row {{ {names} }}; _Static_assert({first} == {index}, "");')
    assert not compiles(tmp_path, f'enum row {{ {names} }}; _Static_assert({second} == {index}, "");')


def test_points_that_change_places_are_still_counted_under_their_own_names(monkeypatch):
    """As for the rows: the sums are read in the order that the program was given."""
    points = swapped(Point, "EGRESS", "COPY_OUT")
    monkeypatch.setattr(tracepoints, "Point", points)
    at = list(product(points, State)).index((Point.EGRESS, State.MIXED))
    sums = [(0, 0, 0)] * at + [(1, 10007, 3)] + [(0, 0, 0)] * (len(points) * len(State) - at - 1)

    found = tracepoints.tallies_of(sums, points)

    assert {name for name, tally in found.items() if tally.bytes} == {tally_name(Point.EGRESS, State.MIXED)}


def counted_in(program: str) -> set[str]:
    """First arguments of add(), and second ones of add_here() after the context: names in capitals."""
    calls = r"\badd(?:_stack)?\(([A-Z_]+),|\badd_here\(ctx, ([A-Z_]+),|\badd\(\w+ & 1 \? ([A-Z_]+) : ([A-Z_]+),"
    return {name for found in re.findall(calls, program) for name in found if name}


def test_the_program_counts_in_the_rows_of_the_table_and_in_no_other():
    """A row that C does not know, or that only C knows, is caught before a kernel compiles it."""
    assert counted_in(FUNCTIONS) - {"LOST"} == {row.name for row in Row}


def test_a_row_that_the_table_lacks_would_be_noticed():
    """The reading of the C text above finds a new row by itself."""
    assert counted_in("\tadd(NO_SUCH_ROW, 1, 0);") - {row.name for row in Row} == {"NO_SUCH_ROW"}


def test_points_states_and_places_of_the_program_are_the_tables():
    """Each is mentioned, and nothing else stands where they do."""
    points = set(re.findall(r"count_(?:packet|fragments)\(([A-Z_]+),", TRACEPOINTS))

    assert points == {point.name for point in Point}
    assert all(re.search(rf"\b{member.name}\b", TRACEPOINTS) for member in (*State, *Place))


@pytest.mark.parametrize("table", [Row, Point, State, Place])
def test_names_are_fit_for_c(table):
    """Each is an identifier, and no two tables' names collide where one program has both."""
    assert all(re.fullmatch("[A-Z][A-Z_]*", member.name) for member in table)


def test_the_names_of_one_program_do_not_collide():
    """C has one space of names for all enumerators."""
    for tables in ((Row, Place), (Point, State, Place)):
        names = [member.name for table in tables for member in table]

        assert len(names) == len(set(names))
