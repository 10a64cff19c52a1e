"""What the verbs share: how a recording is shown, and which exit code it earns."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

import click

from tracer.errors import EXIT_INTERRUPTED, EXIT_MACHINE, EXIT_OK, EXIT_UNTRUSTWORTHY
from tracer.model import Document, LawState
from tracer.texts import counted, printable

if TYPE_CHECKING:
    from tracer.books.expectations import Expectation
    from tracer.model.socket_recording import SocketRecording


def emit(document: Document, as_json: bool) -> None:
    """Print a document on stdout, as JSON or for people."""
    from tracer.books.recording import encode

    if as_json:
        write_json(encode(document).decode())
        return
    from tracer.reports.tables import make_console
    from tracer.reports.terminal import print_document

    print_document(document, make_console(sys.stdout))


def write_json(document: str) -> None:
    r"""A JSON document on stdout: the same one in every encoding, and nothing in it that a terminal would obey.

    In JSON text whatever is no printable ASCII stands inside of a string, where \u says the same.
    """
    for line in document.removesuffix("\n").split("\n"):
        whole = line if line.isascii() and line.isprintable() else "".join(map(_escaped, line))
        sys.stdout.write(whole + "\n")


def _escaped(char: str) -> str:
    if char.isascii() and char.isprintable():
        return char
    units = char.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def note(text: str) -> None:
    """Progress, on stderr so that stdout holds data alone; a run does not fail for want of somebody to tell."""
    with contextlib.suppress(OSError):
        click.echo(f"nettrace: {printable(text)}", err=True)


def exit_code(document: Document, expected: list[Expectation]) -> int:
    """The exit code that a finished recording earns, with what was expected of it."""
    from tracer.commands.expect import code_of

    if not document.complete:
        return EXIT_MACHINE if document.stuck else EXIT_INTERRUPTED
    code = code_of(expected, document)
    return code if code or document.ledger.trustworthy else EXIT_UNTRUSTWORTHY


def trust_code(document: Document) -> int:
    """5 where a run cannot be trusted, and on stderr why: a page or a table in a file says it to nobody here."""
    if document.ledger.trustworthy:
        return EXIT_OK
    note(f"this recording cannot be trusted: {'; '.join(document.ledger.doubts)}")
    return EXIT_UNTRUSTWORTHY


def books_code(recording: SocketRecording) -> int:
    """5 where the books of a program's sockets do not balance, or some are lost; the same."""
    from tracer.books.socket_laws import balance

    broken = balance(recording.sockets)[LawState.BROKEN]
    doubts = [f"the books of {counted(broken, 'socket')} do not balance"] if broken else []
    doubts += [f"{counted(recording.lost, 'socket')} could not be counted"] if recording.lost else []
    if not doubts:
        return EXIT_OK
    note(f"this recording cannot be trusted: {'; '.join(doubts)}")
    return EXIT_UNTRUSTWORTHY
