"""What becomes of what was counted: the window, and what is outside of it."""

from __future__ import annotations

from collections import Counter

from tracer.books.socket_rows import COUNTERS
from tracer.model.watching import Subject, Window
from tracer.observers.watched import Watched
from tracer.runs.socket_recording import recording_of

ZERO_S = 100.0


def test_samples_are_those_of_the_window() -> None:
    """Neither those taken while it was attached, nor those taken while it was detached."""
    none = dict.fromkeys(COUNTERS, 0)
    moments = [99.0, 100.5, 101.5, 103.5]
    watched = Watched(
        ended=[], living=[], totals=none, fates=Counter(), notified={}, deferred=None, sizes={}, attached=[],
        refused={},
        samples=[(int(at * 1e9), none | {"SENT_COPY_BYTES": index}) for index, at in enumerate(moments)],
    )  # fmt: skip
    subject = Subject(kind="processes", argv=["nginx"], pids=[7], exit_status=None, user=0)
    window = Window(started="2026-01-01T00:00:00", elapsed_s=2.0)
    recording = recording_of(watched, subject, window, (ZERO_S, 1), lambda one: one)

    assert [one.t for one in recording.samples] == [0.5, 1.5]
