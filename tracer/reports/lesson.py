"""A lesson on the screen: question, what was run, what was measured, and why."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from tracer.books.glossary import term_of
from tracer.books.steps import STEPS, Said
from tracer.reports.explain import with_dim_sources
from tracer.reports.tables import paragraph, trimmed
from tracer.study.lessons.lesson import Answer, Lesson, Trial


def print_question(number: int, count: int, lesson: Lesson, console: Console) -> None:
    """What it is about, what is asked, and what can be answered."""
    with trimmed(console):
        console.print(paragraph(f"Lesson {number} of {count}: {lesson.title}", console, style="bold"))
        console.print()
        console.print(paragraph(lesson.about, console))
        console.print()
        console.print(paragraph(lesson.question, console, style="bold"))
        for key, words in lesson.choices.items():
            console.print(paragraph(f"  {key:<8} {words}", console, "           "))
        console.print()


def print_command(trial: Trial, console: Console) -> None:
    """What is run now."""
    with trimmed(console):
        console.print(paragraph(f"$ {trial.command}", console, "    ", "bold cyan"))


def print_trial(lines: list[str], console: Console) -> None:
    """What came of it."""
    with trimmed(console):
        for line in lines:
            console.print(paragraph(f"  {line}", console, "    "))
        console.print()


def print_answer(lesson: Lesson, predicted: str | None, answer: Answer, console: Console) -> None:
    """What was measured, beside what was predicted; then why, and what is next."""
    with trimmed(console):
        console.print(paragraph(f"Measured: {answer.sentence}", console, "  ", "bold"))
        console.print(_judged(lesson, predicted, answer, console))
        console.print()
        console.print(paragraph("Why, and where that can be read:", console))
        _print_said([(word, told) for word in lesson.words for told in term_of(word).essence], console)
        if changes := [(word, told) for word in lesson.words for told in _first_change(word)]:
            console.print(paragraph("What would change it:", console))
            _print_said(changes, console)
        console.print()
        for command in lesson.onwards:
            console.print(paragraph(f"  next: {command}", console, "        "))


def _print_said(said: Sequence[tuple[str, Said]], console: Console) -> None:
    for word, told in said:
        console.print(with_dim_sources(paragraph(f"  {word}: {told.text} [{told.source}]", console, "    ")))


def _first_change(word: str) -> tuple[Said, ...]:
    """Of a copy: what would change it first of all. Told behind all reasons, which follow from each other."""
    is_copy = any(step.word == word and step.is_copy for step in STEPS)
    return term_of(word).changes[: int(is_copy)]


def _judged(lesson: Lesson, predicted: str | None, answer: Answer, console: Console) -> Text:
    if answer.choice is None:
        return paragraph("That decides nothing here; run it again, on a quiet machine.", console, style="yellow")
    came_true = (
        f"{answer.choice} ({lesson.choices[answer.choice]})" if answer.choice in lesson.choices else answer.choice
    )
    if predicted is None:
        return paragraph(f"The answer: {came_true}. No prediction was asked for, as there is no terminal.", console)
    if predicted == answer.choice:
        return paragraph(f"Your prediction came true: {came_true}.", console, style="green")
    return paragraph(f"You predicted {predicted} ({lesson.choices[predicted]}); it is {came_true}.", console,
                     style="yellow")  # fmt: skip
