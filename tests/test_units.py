"""Numbers in and out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracer.errors import UsageError
from tracer.units import format_ns, format_ratio, format_size, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("16384", 16384),
        ("16K", 16384),
        ("64KiB", 65536),
        ("64kb", 65536),
        ("1M", 1 << 20),
        (" 2 MiB ", 2097152),
    ],
)
def test_sizes_are_read_as_people_write_them(text, size):
    """K is 1024, with or without B or iB."""
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "K", "16X", "1.5K", "0x10", "16 K K", "sixteen", "١٦K٣"])
def test_what_is_no_size_is_a_usage_error(text):
    """The user's words are quoted."""
    with pytest.raises(UsageError, match=r"is not a size|unknown unit"):
        parse_size(text)


@given(st.integers(1, 16 << 20))
def test_a_printed_size_reads_back(size):
    """format_size loses nothing."""
    assert parse_size(format_size(size)) == size


@pytest.mark.parametrize(
    ("ratio", "text"), [(1.0, "1"), (0.0, "0"), (1.0000001, "1.000"), (0.5, "0.5"), (1.0327, "1.033"), (None, "n/a")]
)
def test_a_ratio_that_is_not_exact_never_prints_as_exact(ratio, text):
    """1x means to the byte; what is nearly 1 prints as 1.000."""
    assert format_ratio(ratio) == text


@pytest.mark.parametrize(("value", "text"), [(None, "n/a"), (850, "850 ns"), (12300, "12.3 µs"), (4.56e6, "4.56 ms")])
def test_durations_have_their_unit(value, text):
    """ns up to s; None is n/a."""
    assert format_ns(value) == text
