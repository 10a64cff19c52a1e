"""Lesson 2: why zero-copy is not zero over loopback."""

from __future__ import annotations

from tracer.books.walk import walk_of
from tracer.model import Document
from tracer.study.lessons.lesson import Answer, Lesson
from tracer.study.lessons.of_workloads import copies, copying, doubt_of, places, run_of
from tracer.units import format_ratio


def answer_of(documents: list[Document]) -> Answer:
    """By the second run, set against the first."""
    if doubt := doubt_of(documents):
        return Answer(None, doubt)
    plain, zerocopy = documents
    found = copies(zerocopy)
    sentence = (
        f"With MSG_ZEROCOPY each byte was copied {format_ratio(found)}x ({places(zerocopy)}); without it "
        f"{format_ratio(copies(plain))}x ({places(plain)})"
    )
    flags = walk_of(zerocopy).taken("completion").more
    return Answer(str(round(found)), f"{sentence}. {_difference(plain, zerocopy)}Of the completions {flags}.")


def _difference(plain: Document, zerocopy: Document) -> str:
    """Which copy was spared, and which one was made instead."""
    before, after = copying(plain), copying(zerocopy)
    spared, instead = (
        [one for one in these if one not in those] for these, those in ((before, after), (after, before))
    )
    came = f", and in its place came {' and '.join(instead)}" if instead else ""
    return f"Spared was {' and '.join(spared)}{came}. " if spared else ""


LESSON = Lesson(
    title="why zero-copy is not zero over loopback",
    about="MSG_ZEROCOPY asks the kernel not to copy a message when it is sent, but to use the program's own pages, "
    "and to tell it afterwards when it is done with them. Sender and reader are two programs on this machine.",
    question="How many times does the kernel copy each byte that is sent with MSG_ZEROCOPY, from the sender's memory "
    "to the reader's?",
    choices={"0": "never: that is what it is for", "1": "once, for the reader", "2": "twice"},
    trials=(run_of("onecopy"), run_of("zerocopy")),
    answer=answer_of,
    words=("pin", "loop", "deferred-copy", "local-delivery", "copy-out"),
    onwards=("nettrace run zerocopy --link nic --lab", "nettrace explain --lesson 3"),
)
