"""--expect: the option, what is told of each rule, and the exit code that they earn together."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from tracer.commands.output import note
from tracer.errors import EXIT_EXPECTATION_FAILED, EXIT_OK, EXIT_UNTRUSTWORTHY

if TYPE_CHECKING:
    from tracer.books.expectations import Expectation, Judged
    from tracer.model import Document
    from tracer.model.socket_recording import SocketRecording


def expect_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """--expect RULE, as often as there are rules."""
    return click.option(
        "--expect",
        "expected",
        multiple=True,
        metavar="RULE",
        callback=_parsed,
        help="Exit with 1 unless RULE holds, with 5 if that is unknown: 'send copies <= 0.1', 'way splice >= 90%', "
        "'laws hold'; may be repeated.",
    )(command)


def _parsed(_ctx: click.Context, _param: click.Parameter, given: tuple[str, ...]) -> list[Expectation]:
    """Before anything is run: a rule that is none costs nothing."""
    from tracer.books.expectations import parse_expectation

    return [parse_expectation(text) for text in given]


def code_of(expected: list[Expectation], recording: Document | SocketRecording) -> int:
    """Tell what became of each rule, on stderr; the exit code."""
    from tracer.books.evidence import judge_all

    judged = judge_all(expected, recording)
    for one in judged:
        note(str(one))
    return _code(judged)


def _code(judged: list[Judged]) -> int:
    """False weighs more than unknown: it is known."""
    from tracer.model import LawState

    states = {one.state for one in judged}
    if LawState.BROKEN in states:
        return EXIT_EXPECTATION_FAILED
    return EXIT_UNTRUSTWORTHY if LawState.UNKNOWN in states else EXIT_OK
