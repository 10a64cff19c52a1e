"""Rows that are summed where they lie."""

from __future__ import annotations

from tests.row_samples import raw, raw_sender
from tracer.books.row_table import RowTable
from tracer.books.socket_rows import COUNTERS, decode_row

ROWS = [raw_sender(1, 10007), raw(cookie=2**63, read_copy_bytes=2**40, tcp_error_queue=3), raw_sender(3, 5)]


def test_columns_and_sums_are_those_of_decoded_rows() -> None:
    """No second order of a row: what a table says is what decoding says."""
    table, rows = RowTable(b"".join(ROWS)), [decode_row(row) for row in ROWS]

    assert table.rows() == rows
    assert table.row(1) == rows[1]
    assert list(table.column("cookie")) == [1, 2**63, 3]
    assert table.sums() == {name: sum(row.counters[name] for row in rows) for name in COUNTERS}
    assert table.bytes_of(("sent_copy_bytes", "sent_copy_calls")) == [10008, 0, 6]


def test_peers_are_not_its_own() -> None:
    """Of a subject without peers the table itself is handed on."""
    table = RowTable(b"".join(ROWS))

    assert table.own() is table
    assert list(RowTable(b"".join((*ROWS, raw(cookie=9, is_peer=1)))).own().column("cookie")) == [1, 2**63, 3]


def test_no_row_is_no_socket() -> None:
    """The sums of nothing are 0."""
    assert (len(RowTable()), RowTable().rows(), set(RowTable().sums().values())) == (0, [], {0})


def test_ends_change_with_the_peer_alone() -> None:
    """A UDP socket may be connected later; counters are no reason to look anew."""
    before, counted, connected = (
        RowTable(row).ends() for row in (raw_sender(1, 5), raw_sender(1, 6), raw_sender(1, 5, peer_port=81))
    )

    assert before == counted
    assert before != connected
