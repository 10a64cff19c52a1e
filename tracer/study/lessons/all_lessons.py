"""The lessons by number; each is imported when it is asked for."""

from __future__ import annotations

import importlib

from tracer.study.lessons.lesson import Lesson

_MODULES = (
    "where_send_copies", "zerocopy_over_loopback", "when_the_flag_lies", "when_sendfile_wins", "from_which_size",
)  # fmt: skip
NUMBERS = range(1, len(_MODULES) + 1)


def lesson(number: int) -> Lesson:
    """One of NUMBERS."""
    found: Lesson = importlib.import_module(f"tracer.study.lessons.{_MODULES[number - 1]}").LESSON
    return found
