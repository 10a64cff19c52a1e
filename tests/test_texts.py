"""Texts of others on our terminal, names that are too long, nouns with numbers."""

from __future__ import annotations

import pytest

from tracer.errors import MachineError, reason_of
from tracer.texts import all_printable, counted, did_you_mean, printable, shortened


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("6.18.44-fc", "6.18.44-fc"),
        ("µ → 1 × 10", "µ → 1 × 10"),
        ("\x1b[2J", "\\x1b[2J"),
        ("a\nb\rc\x07", "a\\nb\\rc\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("abc\u202ecba", "abc\\u202ecba"),
        ("a\u2028b", "a\\u2028b"),
        ("\udcff", "\\udcff"),
    ],
)
def test_control_characters_are_shown_not_sent(text: str, shown: str) -> None:
    """C0, C1, line breaks, and those that turn the direction of writing; letters of all languages stay."""
    assert printable(text) == shown


def test_every_string_of_a_document_is_made_printable() -> None:
    """Names of members too; numbers are left alone."""
    assert all_printable({"a\x1b": ["b\n", 1, None, {"c": "\x00"}]}) == {"a\\x1b": ["b\\n", 1, None, {"c": "\\x00"}]}


def test_an_error_quotes_nothing_that_a_terminal_obeys() -> None:
    """Its own three lines stay three lines."""
    assert str(MachineError("no\x1b[2J", "why", "fix")) == "error: no\\x1b[2J\n  why: why\n  fix: fix"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (FileNotFoundError(2, "No such file or directory", "/run/x"), "/run/x: No such file or directory"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (OSError(), "OSError"),
        (KeyError("net"), "net"),
        (RuntimeError(17, "File exists"), "File exists"),
        (MemoryError(), "MemoryError"),
    ],
)
def test_a_reason_is_words(error: Exception, words: str) -> None:
    """No number of the kernel's, no tuple, no quotes that Python puts around a key."""
    assert reason_of(error) == words


@pytest.mark.parametrize(
    ("name", "width", "short"),
    [
        ("skb_zerocopy_iter_stream", 24, "skb_zerocopy_iter_stream"),
        ("skb_zerocopy_iter_stream", 12, "skb_ze…tream"),
        ("abcd", 3, "a…d"),
        ("abcd", 1, "…"),
    ],
)
def test_a_name_loses_its_middle(name: str, width: int, short: str) -> None:
    """Both ends tell it from others."""
    assert shortened(name, width) == short


def test_a_noun_goes_with_its_number() -> None:
    """Never "1 threads"."""
    assert [counted(number, "thread") for number in (0, 1, 2048)] == ["0 threads", "1 thread", "2,048 threads"]


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("vet", "did you mean veth?"),
        ("VETH", "did you mean veth?"),
        ("lo", ""),
        ("wifi", ""),
        ("", ""),
    ],
)
def test_the_nearest_word_is_told_where_one_is_near(word: str, told: str) -> None:
    """A word that is right has no near miss, and one that is far from all has none either."""
    assert did_you_mean(word, ("lo", "veth", "nic")) == told
