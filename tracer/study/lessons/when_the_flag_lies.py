"""Lesson 3: when the completion flag lies."""

from __future__ import annotations

from tracer.books.verdict import is_flag_wrong
from tracer.model import Document, Link
from tracer.study.lessons.lesson import Answer, Lesson
from tracer.study.lessons.of_workloads import doubt_of, run_of

# What --lab takes by itself.
_LAB = "6.12"
# In the order of the trials.
_LINKS = ("lo", "nic", "no-sg")


def answer_of(documents: list[Document]) -> Answer:
    """The link on which completions deny a copy that was counted."""
    if doubt := doubt_of([one for one in documents if one.experiment.link is not Link.NIC]) or _mistrust(documents):
        return Answer(None, doubt)
    wrong = [name for name, one in zip(_LINKS, documents, strict=True) if is_flag_wrong(one, one.ledger)]
    if not wrong:
        return Answer("none", "On none of them do the completions deny a copy that was counted.")
    if len(wrong) > 1:
        return Answer(None, f"On more than one: {', '.join(wrong)}.")
    return Answer(wrong[0], f"On {wrong[0]}: {documents[_LINKS.index(wrong[0])].verdict.sentence}")


def _mistrust(documents: list[Document]) -> str:
    """What is not observed over a NIC is the reader's side, which no completion speaks of."""
    doubts = [doubt for document in documents for doubt in document.ledger.doubts]
    return f"This measurement cannot be trusted: {doubts[0]}." if doubts else ""


LESSON = Lesson(
    title="when the completion flag lies",
    about="For each send with MSG_ZEROCOPY the kernel promises a completion, whose flag says whether it copied the "
    "bytes after all. The same is sent three times: over loopback, over a network card in a virtual machine, and over "
    "that card without scatter-gather, the ability to send a packet from several pieces of memory.",
    question="Where do completions say 'not copied' of bytes that were copied?",
    choices={
        "lo": "over loopback",
        "nic": "over the card",
        "no-sg": "over the card without scatter-gather",
        "none": "nowhere: the kernel knows what it did",
    },
    trials=(
        run_of("zerocopy"),
        run_of("zerocopy", link=Link.NIC, lab=_LAB),
        run_of("zerocopy", link=Link.NIC, lab=_LAB, scatter_gather=False),
    ),
    answer=answer_of,
    words=("linearize", "no-scatter-gather", "completion"),
    onwards=("nettrace explain zerocopy --link nic --no-sg --lab", "nettrace explain --lesson 4"),
)
