"""What a reader of a recording of sockets should know before the figures. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from tracer.books.socket_laws import balance
from tracer.model import LawState
from tracer.model_sockets import Finding, SocketRecording

# Programs that ask a daemon to do the work.
_DAEMON_WORKS = ("docker", "podman", "systemctl", "systemd-run", "kubectl", "service", "at", "batch")


def findings_of(recording: SocketRecording) -> SocketRecording:
    """The same recording, with its findings."""
    found = [
        *_of_the_subject(recording),
        *_of_the_watching(recording),
        *_of_ignored_zerocopy(recording),
        *_of_limits(recording),
    ]
    return msgspec.structs.replace(recording, findings=found)


def _of_the_subject(recording: SocketRecording) -> Iterator[Finding]:
    subject = recording.subject
    name = subject.argv[0].rpartition("/")[2]
    if not recording.sockets and not recording.unlisted_sockets:
        unused = recording.created_sockets
        yield Finding(
            code="no-socket",
            sentence=f"{name} used no TCP or UDP socket" + (f" ({unused} were made and not used)" if unused else ""),
            why="a daemon does its work, in another cgroup" if name in _DAEMON_WORKS else
            "it makes none, or has got one from somebody else (socket activation, inetd), or left its cgroup, "
            "or asks a daemon to work",
            fix="record the daemon itself: nettrace record -- DAEMON",
        )  # fmt: skip
    if subject.inherited_sockets:
        yield Finding(
            code="inherited-sockets",
            sentence=f"not seen: {', '.join(subject.inherited_sockets)}",
            why="a socket belongs to the cgroup in which it was made, and these were made before",
            fix="let the command make its own sockets",
        )
    if subject.left_running:
        count = len(subject.left_running)
        yield Finding(
            code="left-running",
            sentence=f"{count} process{'es' if count > 1 else ''} of it went on when the watching ended",
            why="the command itself had ended, or the time was over",
            fix="--wait watches until the last has ended",
            figures={"processes": count},
        )


def _of_the_watching(recording: SocketRecording) -> Iterator[Finding]:
    if recording.lost:
        yield Finding(
            code="lost",
            sentence=f"{recording.lost:,} sockets could not be counted, or their rows were lost",
            why="memory for rows was refused (net.core.optmem_max), or rows came faster than they were read",
            fix="the totals hold all rows that were made; sysctl net.core.optmem_max",
            figures={"lost": recording.lost},
        )
    if skipped := sum((recording.hooks.skipped or {}).values()):
        yield Finding(
            code="skipped",
            sentence=f"the kernel did not count {skipped:,} calls: figures may be too small by as many",
            why=f"the program was running already on that CPU: {', '.join(recording.hooks.skipped or {})}",
            fix="record it again; fewer threads a CPU make it rarer",
            figures={"calls": skipped},
        )
    broken = balance(recording.sockets)[LawState.BROKEN]
    if broken:
        yield Finding(
            code="law-broken",
            sentence=f"the books of {broken:,} of {len(recording.sockets):,} sockets do not balance: do not trust them",
            why="the calls, the packets and TCP's own counters disagree",
            fix="see laws in --json",
            figures={"sockets": broken},
        )


def _of_ignored_zerocopy(recording: SocketRecording) -> Iterator[Finding]:
    ignored = recording.totals.sent.get("zerocopy_ignored")
    if ignored and ignored.bytes:
        yield Finding(
            code="zerocopy-ignored",
            sentence=f"{ignored.bytes:,} B were sent with MSG_ZEROCOPY and copied all the same",
            why="the socket has no SO_ZEROCOPY, or its device cannot scatter, gather and checksum",
            fix="setsockopt(SOL_SOCKET, SO_ZEROCOPY) before the first send",
            figures={"bytes": ignored.bytes},
        )


def _of_limits(recording: SocketRecording) -> Iterator[Finding]:
    refused = recording.totals.refused
    if refused.enobufs:
        yield Finding(
            code="enobufs",
            sentence=f"{refused.enobufs:,} send calls were refused with ENOBUFS",
            why=f"most likely {refused.limit} (inferred)" if refused.limit else "the kernel was out of buffers",
            fix="read the error queue sooner, or raise net.core.optmem_max" if refused.limit else "",
            figures={"calls": refused.enobufs},
        )
