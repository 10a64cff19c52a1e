"""Rules that a recording is expected to keep: 'send copies <= 0.1', 'way splice >= 90%', 'laws hold'. Pure.

What nobody observed makes a rule unknown, never true; so does a recording that cannot be trusted.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

from tracer.errors import UsageError
from tracer.model import LawState
from tracer.model.sockets import READ_WAYS, SEND_WAYS
from tracer.texts import did_you_mean

LAWS, ZEROCOPY = "laws hold", "zerocopy real"
_COMPARISONS: dict[str, Callable[[Fraction, Fraction], bool]] = {
    "<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt, "=": operator.eq,
}  # fmt: skip
FIGURES = (
    "send copies",
    "read copies",
    *(f"way {way}" for way in SEND_WAYS),
    *(f"read {way}" for way in READ_WAYS if way != "peek"),
    "completions copied",
)
_RULE = re.compile(
    r"(?P<figure>[a-z_ ]+?)\s*(?P<sign><=|>=|<|>|==?)\s*(?P<number>\d{1,12}(\.\d{1,12})?)\s*(?P<percent>%?)"
)


_EXAMPLES = "for example --expect 'send copies <= 0.1', --expect 'way splice >= 90%'"


class Expectation(NamedTuple):
    """A rule as it was written, and what it says; a figure and a bound, or one of the words without a number."""

    text: str
    figure: str
    sign: str = ""
    bound: Fraction = Fraction(0)


class Judged(NamedTuple):
    """A rule with what became of it.

    Args:
        told: The figure, or what is missing.
    """

    expectation: Expectation
    state: LawState
    told: str

    def __str__(self) -> str:
        """As it is told on stderr."""
        words = {LawState.HOLDS: "true", LawState.BROKEN: "FALSE", LawState.UNKNOWN: "unknown"}
        return f"expected {self.expectation.text}: {words[self.state]} ({self.told})"


class Evidence(NamedTuple):
    """What a recording says of the rules; made by the kinds of recording.

    Args:
        figures: A value, or None and what is missing.
        laws, zerocopy: With the reason.
        doubt: Why no figure can be trusted; empty where it can.
    """

    figures: dict[str, tuple[Fraction | None, str]]
    laws: tuple[LawState, str]
    zerocopy: tuple[LawState, str]
    doubt: str = ""


def parse_expectation(text: str) -> Expectation:
    """A rule from the command line.

    Raises:
        UsageError: it is none; names what may be written.
    """
    words = " ".join(text.lower().split())
    if words in (LAWS, ZEROCOPY):
        return Expectation(text, words)
    match = _RULE.fullmatch(words)
    if match is None or match["figure"] not in FIGURES:
        raise UsageError(
            f"'{text}' is no expectation",
            f"a rule is '{LAWS}', '{ZEROCOPY}', or a figure, <=, >=, <, > or =, and a number or a percentage; "
            f"figures are {', '.join(FIGURES)}",
            did_you_mean(_figure_in(words), (LAWS, ZEROCOPY, *FIGURES)) or _EXAMPLES,
        )
    bound = Fraction(match["number"]) / (100 if match["percent"] else 1)
    if bound > 1 and not match["figure"].endswith(" copies"):
        raise UsageError(f"'{text}' is no expectation", "this figure is a share, and none is above 100%", "90%, or 0.9")
    return Expectation(text, match["figure"], "=" if match["sign"] == "==" else match["sign"], bound)


def _figure_in(words: str) -> str:
    """What stands before the sign."""
    return re.split(r"\s*[<>=]", words, maxsplit=1)[0]


def judge(expectation: Expectation, found: Evidence) -> Judged:
    """Whether the recording keeps the rule."""
    if expectation.figure == LAWS:
        return Judged(expectation, *found.laws)
    if found.doubt:
        return Judged(expectation, LawState.UNKNOWN, found.doubt)
    if expectation.figure == ZEROCOPY:
        return Judged(expectation, *found.zerocopy)
    value, told = found.figures.get(expectation.figure, (None, "this kind of recording has no such figure"))
    if value is None:
        return Judged(expectation, LawState.UNKNOWN, told)
    holds = _COMPARISONS[expectation.sign](value, expectation.bound)
    return Judged(expectation, LawState.HOLDS if holds else LawState.BROKEN, told)
