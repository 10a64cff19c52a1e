"""Tables in any width: numbers whole, names shortened in the middle, paragraphs where there is no room."""

from __future__ import annotations

import io

import pytest

from tracer.reports.tables import hanging, make_console, make_table, width_of

COLUMNS = ("stage", "function", "bytes", "seen by")
ROW = ("copy in", "skb_zerocopy_iter_stream", "1,234,567", "the cgroup's egress, 12.5 µs")


def drawn(width: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("COLUMNS", str(width))
    stream = io.StringIO()
    console = make_console(stream)
    table = make_table(console, *COLUMNS, right=("bytes",))
    table.add_row(*ROW)
    console.print(table)
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def test_where_there_is_room_nothing_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line a row; numbers to the right."""
    assert drawn(80, monkeypatch) == [
        "stage   function                     bytes seen by",
        "copy in skb_zerocopy_iter_stream 1,234,567 the cgroup's egress, 12.5 µs",
    ]


def test_texts_give_way_to_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken at blanks, but not between a number and its unit; a name loses its middle."""
    assert drawn(44, monkeypatch) == [
        "stage function                bytes seen by",
        "copy  skb_zeroc…er_stream 1,234,567 the",
        "in                                  cgroup's",
        "                                    egress,",
        "                                    12.5 µs",
    ]


def test_where_no_table_has_room_a_row_is_a_paragraph(monkeypatch: pytest.MonkeyPatch) -> None:
    """20 columns are enough for all that there is to say; the table's own name stands above."""
    assert drawn(20, monkeypatch) == [
        "stage",
        "copy in",
        "  function:",
        "    skb_zero…_stream",
        "  bytes: 1,234,567",
        "  seen by: the",
        "    cgroup's egress,",
        "    12.5 µs",
    ]


@pytest.mark.parametrize(
    ("columns", "width"),
    [("80", 80), ("20", 20), ("7", 20), ("0", 100), ("", 100), ("-5", 100), ("abc", 100), ("²", 100), ("9" * 30, 1000)],
)
def test_nonsense_in_the_environment_is_no_width(columns: str, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """COLUMNS is the user's; 20 columns are the least, and a file has 100."""
    with monkeypatch.context() as here:  # pytest -v writes as soon as this ends, and believes any number
        here.setenv("COLUMNS", columns)

        assert width_of(io.StringIO()) == width


def test_a_command_or_a_path_is_never_shortened() -> None:
    """It is there to be pasted."""
    text = "  fix: sudo /home/me/nettrace/.venv/bin/nettrace --observer=tracepoints"

    assert hanging(text, "    ", 24).split() == text.split()
