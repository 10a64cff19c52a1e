"""The live view as a whole: on a terminal until somebody leaves, or as lines until there is no more to come."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator

from tracer.books.live import Source
from tracer.errors import Bug
from tracer.reports.live.app import LiveApp, Settings


def show(source: Source, settings: Settings) -> None:
    """On the terminal, which is as it was when this returns or raises.

    Raises:
        Bug: the display failed; what the source raises is raised as it is.
    """
    app = LiveApp(source, settings)
    with _signals_kept(), _true_size():
        app.run()
    if app.failure is not None:
        raise app.failure
    if app.return_code:
        raise Bug("the display failed", "see above", "nettrace live ... | cat shows the same as lines")


@contextlib.contextmanager
def _signals_kept() -> Iterator[None]:
    """Handlers that the display sets are its own."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTSTP, signal.SIGCONT, signal.SIGWINCH)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _true_size() -> Iterator[None]:
    """What COLUMNS and LINES say is for reports: a screen of another size than the terminal's cannot be read."""
    said = {name: os.environ.pop(name) for name in ("COLUMNS", "LINES") if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(said)
