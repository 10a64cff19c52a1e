"""Rules about whose sockets were seen, and how well. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from tracer.books.finding import Figures, Rule
from tracer.books.skipped_calls import tell_uncounted, uncounted_calls
from tracer.books.socket_laws import balance
from tracer.model import LawState
from tracer.model.socket_recording import SocketRecording
from tracer.model.sockets import Socket
from tracer.texts import counted

# Programs that ask a daemon to do the work.
_DAEMON_WORKS = ("docker", "podman", "systemctl", "systemd-run", "kubectl", "service", "at", "batch")


def _no_socket(recording: SocketRecording) -> Iterator[Figures]:
    if recording.sockets or recording.unlisted_sockets or recording.created_sockets:
        return
    name = recording.subject.argv[0].rpartition("/")[2]
    yield {
        "name": name,
        "why": "a daemon does its work, in another cgroup"
        if name in _DAEMON_WORKS
        else "it makes none, or has got one from somebody else (socket activation, inetd), or left its cgroup, "
        "or asks a daemon to work",
    }


def _unused_socket(recording: SocketRecording) -> Iterator[Figures]:
    made = recording.created_sockets
    if made and not recording.sockets and not recording.unlisted_sockets:
        name = recording.subject.argv[0].rpartition("/")[2]
        yield {"name": name, "made": made, "told": counted(made, "socket")}


def _inherited(recording: SocketRecording) -> Iterator[Figures]:
    if recording.subject.inherited_sockets:
        yield {"names": ", ".join(recording.subject.inherited_sockets)}


def _left_running(recording: SocketRecording) -> Iterator[Figures]:
    if left := recording.subject.left_running:
        yield {"processes": len(left), "told": counted(len(left), "process", "processes")}


def _lost(recording: SocketRecording) -> Iterator[Figures]:
    if recording.lost:
        yield {"lost": recording.lost, "told": counted(recording.lost, "socket")}


def _skipped(recording: SocketRecording) -> Iterator[Figures]:
    if told := tell_uncounted(recording):
        yield {"calls": uncounted_calls(recording), "told": told, "programs": ", ".join(recording.hooks.skipped or {})}


def _broken(recording: SocketRecording) -> Iterator[Figures]:
    if broken := balance(recording.sockets)[LawState.BROKEN]:
        yield {"sockets": broken, "of": len(recording.sockets)}


def _encrypted(recording: SocketRecording) -> Iterator[Figures]:
    found = [socket for socket in recording.sockets if socket.above == "ulp"]
    if moved := sum(socket.sent_bytes + socket.read_bytes for socket in found):
        yield {"bytes": moved, "sockets": len(found), "told": counted(len(found), "socket"), "above": _above(found)}


def _above(sockets: list[Socket]) -> str:
    """What is above TCP, as far as it was told."""
    known = {f"TLS {one.tls.version}, {one.tls.cipher}, {one.tls.record_adds} B a record" for one in sockets if one.tls}
    untold = any(one.tls is None for one in sockets)
    return "a protocol such as kernel TLS" if untold or not known else f"kernel TLS ({'; '.join(sorted(known))})"


RULES = (
    Rule(
        "no-socket",
        _no_socket,
        sentence="{name} used no TCP or UDP socket",
        why="{why}",
        fix="record the daemon itself: nettrace record -- DAEMON",
    ),
    Rule(
        "unused-socket",
        _unused_socket,
        sentence="{name} made {told} of TCP or UDP and moved no byte over them",
        why="probably a connection that was refused or timed out, or a listener that nobody came to",
        fix="see what {name} itself says, and whether the other end runs (in the lab, 127.0.0.1 is the guest's own)",
    ),
    Rule(
        "inherited-sockets",
        _inherited,
        sentence="not seen: {names}",
        why="a socket belongs to the cgroup in which it was made, and these were made before",
        fix="let the command make its own sockets",
    ),
    Rule(
        "left-running",
        _left_running,
        sentence="{told} of it went on when the watching ended",
        why="the command itself had ended, or the time was over",
        fix="--wait watches until the last has ended",
    ),
    Rule(
        "lost",
        _lost,
        sentence="{told} could not be counted, or had rows that were lost",
        why="memory for their rows was refused (net.core.optmem_max), or their end was not seen",
        fix="the totals hold all rows that were made and ended; sysctl net.core.optmem_max",
    ),
    Rule(
        "skipped",
        _skipped,
        sentence="the kernel {told}: figures may be too small by as many",
        why="the program was running already on that CPU: {programs}",
        fix="record it again; fewer threads a CPU make it rarer",
    ),
    Rule(
        "law-broken",
        _broken,
        sentence="the books of {sockets:,} of {of:,} sockets do not balance: do not trust them",
        why="the calls, the packets and TCP's own counters disagree",
        fix="see laws in --json",
    ),
    Rule(
        "encrypted-in-kernel",
        _encrypted,
        sentence="{told} had {above} above TCP: a cipher read and wrote anew the {bytes:,} B that calls moved there, "
        "which can take the place of a copy",
        why="the ways say how bytes were handed over; a cipher may read and write the program's own pages in place",
        fix="nettrace run ktls shows what is copied then; or record it once without encryption",
    ),
)
