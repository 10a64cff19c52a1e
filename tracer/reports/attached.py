"""What is said of processes that ran already, where a command's report speaks of its arguments and its end."""

from __future__ import annotations

from tracer.model.socket_recording import SocketRecording
from tracer.texts import counted

_NAMED = 5


def attached_title(recording: SocketRecording) -> str:
    """Whom, how long, where."""
    subject = recording.subject
    pids = ", ".join(map(str, subject.pids[:_NAMED])) + (
        f" and {len(subject.pids) - _NAMED:,} more" if len(subject.pids) > _NAMED else ""
    )
    end = "goes on" if subject.exit_status is None else "has ended"
    before = sum(socket.born == "before" for socket in recording.sockets)
    sockets = f"{counted(len(recording.sockets), 'socket')} ({before:,} from before)"
    process = f"pid {pids}; {end}" if subject.pids else end
    return (
        f"attached to {subject.argv[0]} ({process}), {recording.window.elapsed_s:.2f} s, {sockets}, "
        f"Linux {recording.kernel}"
    )
