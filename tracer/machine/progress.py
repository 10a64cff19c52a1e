"""The one deadline of a pass: nothing has moved, on either side, for so long."""

from __future__ import annotations

import time

from tracer.books.results import Reply, Role
from tracer.books.stuck import crawls, is_unnotified

# Each of these only grows, and while one does the pass is alive, however slow: bytes that the send calls took or a
# receiver read, bytes acknowledged, sends notified.
_MOVING = ("bytes", "bytes_acked", "completions")
_PULSES_IN_PATIENCE, _SLOWEST_PULSE_S = 10, 1.0
# The first of them may be of a peer that was held up.
_PULSES_OF_A_CRAWL = 2


class Progress:
    """What the workers last said of how far they are, and until when that is no reason to give up.

    Attributes:
        is_unnotified: All has got through, and notifications do not come.
    """

    def __init__(self, patience_s: float) -> None:
        self.patience_s = patience_s
        self.pulses: dict[Role, Reply] = {}
        self.until = 0.0
        self.is_unnotified = False
        self._closed = 0
        self.restart()

    @property
    def pulse_s(self) -> float:
        """How often the workers are to tell."""
        return min(_SLOWEST_PULSE_S, self.patience_s / _PULSES_IN_PATIENCE)

    @property
    def is_crawling(self) -> bool:
        """Whether it moves by TCP's persist timer alone, for several pulses now."""
        return self._closed >= _PULSES_OF_A_CRAWL

    def restart(self) -> None:
        """From now on so long."""
        self.until = time.monotonic() + self.patience_s

    def note(self, role: Role, pulse: Reply) -> None:
        """A pulse of one side; a change means that the pass is alive."""
        before = self.pulses.get(role, {})
        self.pulses[role] = pulse
        moves = any(pulse.get(name) != before.get(name) for name in _MOVING)
        if role == "sender":
            self._closed = self._closed + 1 if crawls(self.pulses, before) else 0
            self.is_unnotified = not moves and is_unnotified(pulse)
        if moves:
            self.restart()
