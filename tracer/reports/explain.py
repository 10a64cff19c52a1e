"""The way of a byte, step by step, with the counts of one recording; and what is said of a word."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from tracer.books.causes import row_of
from tracer.books.glossary import Term, terms
from tracer.books.socket_verdict import sentences_of
from tracer.books.steps import Said
from tracer.books.walk import Walk, Walked, unobserved, walk_of, walk_of_sockets
from tracer.model import Cause, Document
from tracer.model.socket_recording import SocketRecording
from tracer.reports import sockets, terminal
from tracer.reports.stage_styles import colour_of
from tracer.reports.tables import make_table, paragraph, trimmed
from tracer.texts import counted
from tracer.units import format_count, format_ratio

_INDENT = "     "


def print_document_walk(document: Document, console: Console) -> None:
    """The way of a workload's bytes."""
    answer = [document.verdict.sentence, *_of_datagrams(document)]
    print_walk(walk_of(document), terminal.title_of(document), answer, console)


def _of_datagrams(document: Document) -> list[str]:
    """The steps are TCP's."""
    if document.observed is None or not document.observed.datagrams:
        return []
    told = Said(
        "UDP goes the same way by functions of its own: it copies in ip_generic_getfrag() or pins in "
        "__zerocopy_sg_from_iter(), below udp_sendmsg(), keeps nothing to send it again, and hands it to the reader in "
        "udp_recvmsg()",
        "net/ipv4/udp.c; net/ipv4/ip_output.c: __ip_append_data()",
    )
    return [f"The functions that the steps name are TCP's. {told.text} [{told.source}]."]


def print_sockets_walk(recording: SocketRecording, console: Console) -> None:
    """The way of a program's bytes."""
    recording = sockets.harmless(recording)
    answer = [*sentences_of(recording), *(finding.sentence for finding in recording.findings)]
    print_walk(walk_of_sockets(recording), sockets.title_of(recording), answer + _other_protocols(recording), console)


def _other_protocols(recording: SocketRecording) -> list[str]:
    """The steps are TCP's."""
    others = sum(socket.protocol != "tcp" for socket in recording.sockets)
    if not others:
        return []
    told = Said("UDP copies in ip_generic_getfrag(), and cuts nothing into packets", "net/ipv4/ip_output.c")
    return [f"{counted(others, 'socket')} not of TCP, whose steps these are: {told.text} [{told.source}]."]


def print_walk(walk: Walk, title: str, answer: list[str], console: Console) -> None:
    """All steps, those not taken dimmed and in short.

    Args:
        title: Of what, and where.
        answer: What became of the bytes, in sentences.

    Raises:
        OSError: nobody reads it any more, or the disk is full.
    """
    with trimmed(console):
        console.print(paragraph(title, console, style="dim"))
        console.print()
        for sentence in answer:
            console.print(paragraph(sentence, console, style="bold"))
        console.print()
        console.print(paragraph("The way of a byte. In [brackets]: where that can be read.", console, style="dim"))
        for number, walked in enumerate(walk.steps, 1):
            console.print()
            _print_step(number, walked, walk, console)
        console.print()
        console.print(paragraph(_summary(walk), console, "  ", "bold"))
        console.print(paragraph("nettrace explain WORD says more of a step; --list names the words.", console))


def _print_step(number: int, walked: Walked, walk: Walk, console: Console) -> None:
    step, known = walked.step, walk.is_of_a_run
    head = f"{number:>3}  {step.word}" + (f": {step.what}" if step.what != step.word else "")
    if walked.taken is False:
        besides = f"; {walked.more}" if walked.more else ""
        console.print(paragraph(f"{head} - not taken{besides}", console, _INDENT, "dim"))
        _say(step.told[:1], console, "dim")
        return
    console.print(paragraph(head, console, _INDENT, _style(walked)))
    console.print(paragraph(f"{_INDENT}{_where(walked)}", console, f"{_INDENT}    "))
    if known:
        console.print(with_dim_sources(paragraph(f"{_INDENT}{_count(walked, walk.bytes_of(step))}", console, _INDENT)))
    if known and walked.taken is None:
        _say(step.told[:1], console)
        return
    _say(step.told, console)
    for cause in walked.causes:
        _say((_because(cause),), console)
    _say(tuple(Said(f"Change: {one.text}", one.source) for one in step.changes), console, indent=f"{_INDENT}        ")
    if step.flag is not None:
        _say((Said(f"Completion: {step.flag.text}", step.flag.source),), console, indent=f"{_INDENT}            ")


def _style(walked: Walked) -> str:
    """The stage's colour where it has one."""
    colour = colour_of(walked.step.stage or "", walked.bytes)
    return f"bold {colour}".rstrip()


def _count(walked: Walked, payload: int) -> str:
    """Bytes, times, and whether that is a copy; never 0 for what nobody observed."""
    if walked.bytes is None:
        return f"this run: n/a, not observed{f' ({walked.more})' if walked.more else ''}"
    by = f" [seen by {walked.seen_by}]" if walked.seen_by else ""
    if walked.step.word == "completion":
        return f"this run: {walked.more or 'none'}{by}"
    kind = "A COPY" if walked.step.is_copy else "no copy"
    times = f", {format_ratio(walked.bytes / payload)}x each byte" if payload else ""
    more = f"; {walked.more}" if walked.more else ""
    return f"this run: {kind}, {format_count(walked.bytes)} B{times}{more}{by}"


def _where(walked: Walked) -> str:
    """Where the kernel does it; what was seen, if that was another function."""
    step, seen = walked.step, walked.where
    place = f"in: {step.function}, {step.file}"
    return f"{place}; asked for by {seen}" if seen and seen.split(",")[0] not in step.function else place


def _because(cause: Cause) -> Said:
    row = row_of(cause)
    return Said(f"Here for {row.name}: {row.story}", row.source or "tracer/books/causes.py: with_cause()")


def _say(told: tuple[Said, ...], console: Console, style: str = "", indent: str = _INDENT) -> None:
    for one in told:
        console.print(with_dim_sources(paragraph(f"{_INDENT}{one.text} [{one.source}]", console, indent, style)))


def with_dim_sources(text: Text) -> Text:
    """What stands in brackets steps back."""
    text.highlight_regex(r"\[[^\]]+\]", "dim")
    return text


def _summary(walk: Walk) -> str:
    """Copies per byte, over the steps that copy."""
    if not walk.is_of_a_run:
        return "No run is shown: nettrace explain zerocopy, a recording's file, or -- CMD gives it counts."
    missing = [step.word for step in unobserved(walk)]
    copies = " and ".join(f"{format_ratio(number)} {verb}".rstrip() for verb, number in walk.copies())
    seen = f"Copies of each byte that were counted in the kernel: {copies}"
    return f"{seen}; not observed: {', '.join(missing)}." if missing else f"{seen}, over all steps that copy."


def print_term(term: Term, console: Console) -> None:
    """What is said of one word."""
    with trimmed(console):
        console.print(paragraph(f"{term.word}: {term.title}", console, "  ", "bold"))
        console.print()
        for one in term.told:
            console.print(with_dim_sources(paragraph(f"  {one.text} [{one.source}]", console, "  ")))
        for one in term.changes:
            console.print(with_dim_sources(paragraph(f"  Change: {one.text} [{one.source}]", console, "          ")))
        if term.flag is not None:
            console.print(
                with_dim_sources(
                    paragraph(f"  Completion: {term.flag.text} [{term.flag.source}]", console, "              ")
                )
            )
        if term.see:
            console.print()
            console.print(paragraph(f"  See also: {', '.join(term.see)}", console, "            ", "dim"))


def print_words(console: Console) -> None:
    """All words, each with its title."""
    table = make_table(console, "word", "what it is")
    for term in terms().values():
        table.add_row(term.word, term.title)
    with trimmed(console):
        console.print(table)
