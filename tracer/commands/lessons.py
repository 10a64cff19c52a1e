"""nettrace explain --lesson N: a prediction is asked for, then it is measured."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from tracer.commands.output import note
from tracer.errors import EXIT_OK

if TYPE_CHECKING:
    from tracer.study.lessons.lesson import Lesson


def teach(number: int) -> int:
    """One lesson, from its question to its answer."""
    from tracer.reports.lesson import print_answer, print_command, print_question, print_trial
    from tracer.reports.tables import make_console
    from tracer.study.lessons.all_lessons import NUMBERS, lesson

    taught, console = lesson(number), make_console(sys.stdout)
    print_question(number, len(NUMBERS), taught, console)
    predicted = _predicted(taught)
    found: list[Any] = []
    for trial in taught.trials:
        print_command(trial, console)
        found.append(trial.measure(note))
        print_trial(trial.show(found[-1]), console)
    print_answer(taught, predicted, taught.answer(found), console)
    return EXIT_OK


def _predicted(lesson: Lesson) -> str | None:
    """What the user thinks; None without a terminal."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return None
    predicted: str = click.prompt("Your prediction", type=click.Choice(list(lesson.choices), case_sensitive=False))
    return predicted
