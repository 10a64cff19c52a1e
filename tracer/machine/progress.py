"""The one deadline of a pass: nothing has moved, on either side, for so long."""

from __future__ import annotations

import time

from tracer.books.results import Reply, Role

# Each of these only grows, and while one does the pass is alive, however slow: bytes that the send calls took or a
# receiver read, bytes acknowledged, sends notified.
_MOVING = ("bytes", "bytes_acked", "completions")
_PULSES_IN_PATIENCE, _SLOWEST_PULSE_S = 10, 1.0


class Progress:
    """What the workers last said of how far they are, and until when that is no reason to give up."""

    def __init__(self, patience_s: float) -> None:
        self.patience_s = patience_s
        self.pulses: dict[Role, Reply] = {}
        self.until = 0.0
        self.restart()

    @property
    def pulse_s(self) -> float:
        """How often the workers are to tell."""
        return min(_SLOWEST_PULSE_S, self.patience_s / _PULSES_IN_PATIENCE)

    def restart(self) -> None:
        """From now on so long."""
        self.until = time.monotonic() + self.patience_s

    def note(self, role: Role, pulse: Reply) -> None:
        """A pulse of one side; a change means that the pass is alive."""
        before = self.pulses.get(role, {})
        self.pulses[role] = pulse
        if any(pulse.get(name) != before.get(name) for name in _MOVING):
            self.restart()
