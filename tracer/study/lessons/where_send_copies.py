"""Lesson 1: where send() copies."""

from __future__ import annotations

from tracer.books.walk import walk_of
from tracer.model import Document
from tracer.study.lessons.lesson import Answer, Lesson
from tracer.study.lessons.of_workloads import copies, doubt_of, places, run_of
from tracer.units import format_ratio


def answer_of(documents: list[Document]) -> Answer:
    """By the first run; the second one shows what packing adds."""
    if doubt := doubt_of(documents):
        return Answer(None, doubt)
    pieces, packed = documents
    found = copies(pieces)
    packing = walk_of(packed).taken("pack")
    sentence = (
        f"The kernel copied each byte {format_ratio(found)}x: {places(pieces)}. With twocopy it was "
        f"{format_ratio(copies(packed))}x"
    )
    more = " too, after one more copy in the program itself" if packing.taken else ""
    return Answer(str(round(found)), f"{sentence}{more}.")


LESSON = Lesson(
    title="where send() copies",
    about="A program sends messages of 16 KiB to another one on this machine. A message lies in 8 pieces of memory: "
    "onecopy hands all 8 to one sendmsg(), twocopy packs them into one buffer first, and then calls send().",
    question="How many times does the kernel copy each byte of onecopy, from the sender's memory to the reader's?",
    choices={"0": "never", "1": "once", "2": "twice", "3": "three times"},
    trials=(run_of("onecopy"), run_of("twocopy")),
    answer=answer_of,
    words=("copy-in", "copy-out"),
    onwards=("nettrace explain onecopy", "nettrace explain --lesson 2"),
)
