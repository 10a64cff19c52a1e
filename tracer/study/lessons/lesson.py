"""What a lesson is. Its answer is always the measurement's: no figure of any machine stands in a lesson."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

Note = Callable[[str], None]


class Trial(NamedTuple):
    """Something that is measured.

    Args:
        command: What does the same at the prompt.
        measure: Does it, and gives what it found to `answer`.
        show: What is printed of it, a line each.
    """

    command: str
    measure: Callable[[Note], Any]
    show: Callable[[Any], list[str]]


class Answer(NamedTuple):
    """What the trials found.

    Args:
        choice: The key of the choice that came true; None where they do not decide, and the sentence says why.
    """

    choice: str | None
    sentence: str


class Lesson(NamedTuple):
    """One lesson.

    Args:
        about: What the reader has to know before the question, without an answer to it.
        choices: What can be predicted, by what is typed.
        answer: By what the trials found, in their order.
        words: Of the glossary: why it is so.
        onwards: What to do next.
    """

    title: str
    about: str
    question: str
    choices: dict[str, str]
    trials: Sequence[Trial]
    answer: Callable[[list[Any]], Answer]
    words: tuple[str, ...]
    onwards: tuple[str, ...]
