"""Calls that the kernel did not show to nettrace, because its program was running already on that CPU."""

from __future__ import annotations

from tracer.books.socket_laws import balance
from tracer.model import LawState
from tracer.model.socket_recording import SocketRecording
from tracer.texts import counted


def uncounted_calls(recording: SocketRecording) -> int:
    """How many; at most so many where several programs stood at each hook.

    Such a bound has calls of other programs' sockets in it: it says nothing where TCP's own books show that none is
    missing here. What a protocol above TCP adds is not in these.
    """
    hooks = recording.hooks
    missed = sum((hooks.skipped or {}).values())
    if hooks.programs_per_hook > 1 and not balance(recording.sockets)[LawState.BROKEN]:
        return missed if any(socket.above for socket in recording.sockets) else 0
    return missed


def tell_uncounted(recording: SocketRecording) -> str:
    """In words; empty where there are none."""
    missed = uncounted_calls(recording)
    if not missed:
        return ""
    sure = "did not count" if recording.hooks.programs_per_hook == 1 else "may not have counted up to"
    return f"{sure} {counted(missed, 'call')}"
