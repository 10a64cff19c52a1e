"""A subject that is watched: what its sockets have done until now, and in the end."""

from __future__ import annotations

import contextlib
import datetime
import time
from collections.abc import Iterator

from tracer.books.socket_rows import Row
from tracer.books.ways import Surroundings, socket_of
from tracer.model.socket_recording import SocketRecording
from tracer.model.sockets import Socket
from tracer.model.watching import Window
from tracer.observers.sockets import SocketObserver, own
from tracer.observers.watched import Watched
from tracer.runs.peer_names import PeerNames
from tracer.runs.socket_recording import recording_of, surroundings_of, window_since
from tracer.runs.subjects.subject import Watchable


class Session:
    """Begins with the subject's first instruction, or with the first moment that is seen of it."""

    def __init__(self, subject: Watchable, names: PeerNames) -> None:
        self.subject, self._names = subject, names
        self._around: Surroundings | None = None
        self._started, self.begin_ns = datetime.datetime.now(datetime.UTC), time.monotonic_ns()
        self._zero = self.begin_ns / 1e9, names.netns
        subject.release()

    @property
    def observer(self) -> SocketObserver:
        """What watches it."""
        return self.subject.observer

    def sockets(self, rows: list[Row]) -> list[Socket]:
        """Those of these rows; of what rows do not say of themselves it is known what was so when so_far() looked."""
        self._around = self._around or surroundings_of(self.observer.so_far(rows=False), self._zero)
        return [self._names.named(socket_of(row, self._around)) for row in self.subject.known(rows)]

    def so_far(self) -> SocketRecording:
        """The recording until now."""
        window = window_since(self._started, self.begin_ns)
        return self._recording(self.subject.so_far(), window)

    def end(self) -> SocketRecording:
        """Stop watching; the recording."""
        window, watched = window_since(self._started, self.begin_ns), self.subject.end()
        self._names.look(own((*watched.living, *watched.ended)))
        return self._recording(watched, window)

    def _recording(self, watched: Watched, window: Window) -> SocketRecording:
        self._around = surroundings_of(watched, self._zero)
        named = self._names.named
        return self.subject.told(recording_of(watched, self.subject.witness(), window, self._zero, named))


@contextlib.contextmanager
def watched(subject: Watchable, names: PeerNames) -> Iterator[Session]:
    """A subject for the time of the block; signals wait for its end.

    Raises:
        NettraceError: it cannot be started, or not be watched; nothing of it has run, or was done to it.
    """
    with contextlib.ExitStack() as stack:
        subject.open(stack)
        yield Session(subject, names)
