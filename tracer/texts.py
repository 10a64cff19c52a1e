"""Texts for people: what others wrote made harmless, names that are too long, nouns that go with a number. Pure."""

from __future__ import annotations

from collections.abc import Collection


def printable(text: str, keep: str = "") -> str:
    r"""A text of unknown origin with its control characters shown, not sent: "\x1b[2J", "\u202e".

    Args:
        keep: Characters that are let through.
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in keep else char.encode("unicode_escape").decode() for char in text
    )


def all_printable(found: object) -> object:
    """The same for every string of a JSON document, the names of members included."""
    if isinstance(found, str):
        return printable(found)
    if isinstance(found, list):
        return [all_printable(one) for one in found]
    if isinstance(found, dict):
        return {printable(name): all_printable(value) for name, value in found.items()}
    return found


def shortened(name: str, width: int) -> str:
    """A name with its middle left out, because both ends tell it from others: "skb_zero…_stream"."""
    if len(name) <= width:
        return name
    head = max(0, width - 1) // 2
    return f"{name[: width - 1 - head]}…{name[len(name) - head :]}"


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun: "1 thread", "2,048 threads"."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def did_you_mean(word: str, known: Collection[str]) -> str:
    """The nearest of these words, as a question; empty where none is near, or the word is one of them."""
    import difflib

    near = [] if word in known else difflib.get_close_matches(word.lower(), known, 1)
    return f"did you mean {near[0]}?" if near else ""
