"""What all kinds of subjects have in common, and those that are watched by their sockets alone besides."""

from __future__ import annotations

import contextlib
from typing import Protocol

from tracer.books.socket_rows import Row
from tracer.model import watching
from tracer.model.socket_recording import SocketRecording
from tracer.observers.sockets import SocketObserver
from tracer.observers.watched import Watched


class Subject(Protocol):
    """Opened, released when everything is attached, waited for, and heard in the end."""

    def open(self, stack: contextlib.ExitStack) -> None:
        """Get it ready: nothing of it is done before it is released. The stack undoes."""

    def release(self) -> None:
        """Let it go on, or begin to count what goes on: from here on everything is seen."""

    def wait(self) -> object:
        """Until it has ended, its time is over, or the user interrupts."""

    def witness(self) -> watching.Subject:
        """What it says of itself."""


class Watchable(Subject, Protocol):
    """One whose calls only the kernel tells.

    Attributes:
        observer: What watches it, for the time of the stack that it was opened with.
        title: Who it is.
    """

    observer: SocketObserver
    title: str

    def is_over(self) -> bool:
        """Whether nobody is left who could move a byte."""

    def leave(self) -> None:
        """What is done to it when somebody who looks on leaves."""

    def so_far(self) -> Watched:
        """What was counted until now."""

    def end(self) -> Watched:
        """Stop counting; all that was counted."""

    def known(self, rows: list[Row]) -> list[Row]:
        """Rows, with what is known of their owners beside them."""

    def told(self, recording: SocketRecording) -> SocketRecording:
        """The recording with its findings, and with what else was learned."""
