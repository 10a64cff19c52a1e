"""Does an experiment under another kernel: the lab's way to fill the same recording."""

from __future__ import annotations

import contextlib
import dataclasses
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tracer.books.recording import decode
from tracer.books.tallies import total
from tracer.errors import Interrupted, LabError, MachineError, NettraceError, PrivilegeError, UsageError
from tracer.lab import kernels
from tracer.lab.guest import Guest, guest_for, least_environment
from tracer.model import Experiment, Link, ObserverChoice, Recording, Workload
from tracer.runs.dispatch import Progress
from tracer.runs.in_guest import PROGRESS, Order
from workloads.serving import Server

# What an emulated processor, some 20 times slower, sends in a fraction of a second.
_DEFAULT_BYTES, _MIN_MESSAGES, _MAX_MESSAGES = 4 << 20, 16, 1000

# The host's 127.0.0.1, as QEMU's user-mode network shows it to the guest.
_HOST_ADDRESS = "10.0.2.2"

# QEMU acknowledges bytes before it has passed them on; then the receiver reads until the end of file.
_DRAIN_S = 10.0

# Where the guest's process waits that has everything loaded already; both observers take longer to compile than one.
_RESIDENT = {ObserverChoice.ALL: f"/run/nettrace/resident-{ObserverChoice.ALL}"}
_USUAL_RESIDENT = "/run/nettrace/resident"

_HOME = Path(__file__).resolve().parents[2]


def default_messages(size: int, threads: int) -> int:
    """Messages of each connection where the user gave neither a number nor a duration."""
    return max(_MIN_MESSAGES, min(_MAX_MESSAGES, _DEFAULT_BYTES // size) // threads)


def record(
    experiment: Experiment, progress: Progress, *, port: int = 0, observed: bool = True, counting: bool = False
) -> Recording:
    """Run an experiment in the guest; the same signature as runner.record.

    Args:
        port: Port of the host's receiver, for link nic; on other links the guest takes any free one.
        observed: Whether there is an observed pass.
        counting: Let a nanosecond of the recording be one instruction of the guest.

    Raises:
        LabError: the guest did not start, hung, panicked or was killed.
        NettraceError: whatever nettrace raised in the guest.
    """
    if experiment.messages is None and experiment.duration_s is None:
        messages = default_messages(experiment.size, experiment.threads)
        experiment = msgspec.structs.replace(experiment, messages=messages)
    guest = guest_for(experiment.lab or kernels.DEFAULT, experiment.bounce, progress)
    guest = dataclasses.replace(guest, counting=counting)
    with _receiver(experiment, port) as receiver:
        peer = experiment.peer if receiver is None else f"{_HOST_ADDRESS}:{receiver.port}"
        asked = msgspec.structs.replace(experiment, lab=None, peer=peer)
        recording = _record_in(guest, Order(experiment=asked, observed=observed), progress)
        if receiver is not None:
            recording = _with_received(recording, receiver)
    # Not the host as the guest knows it, which means nothing to who reads this.
    told = msgspec.structs.replace(recording.experiment, lab=guest.kernel.name, peer=experiment.peer)
    return msgspec.structs.replace(recording, experiment=told)


@contextlib.contextmanager
def _receiver(experiment: Experiment, port: int) -> Iterator[Server | None]:
    """The receiver at the other end of the guest's NIC; None where there is none or the user named one."""
    if experiment.link is not Link.NIC or experiment.peer is not None:
        yield None
        return
    try:
        server = Server("127.0.0.1", port)
    except OSError as error:
        raise MachineError(
            f"cannot listen on port {port}", error.strerror or str(error), "leave out --port: any free one is taken"
        ) from error
    with server:
        yield server


def _record_in(guest: Guest, order: Order, progress: Progress) -> Recording:
    answer, complaint = bytearray(), Complaint(progress)
    status = guest.run(
        [sys.executable, "-P", "-s", "-m", "tracer.runs.in_guest"],
        env={
            **least_environment(),
            "PYTHONPATH": str(_HOME),
            "NETTRACE_LAB": guest.kernel.name,
            "NETTRACE_RESIDENT": _RESIDENT.get(order.experiment.observer, _USUAL_RESIDENT),
        },
        stdin=msgspec.json.encode(order),
        stdout=answer.extend,
        stderr=complaint.hear,
        reads=(),
        note=progress,
    )
    if answer:
        recording = decode(bytes(answer), "the lab's answer")
        complaint.pass_on()
        return recording
    raise complaint.error(status)


class Complaint:
    """The guest's standard error: progress is passed on line by line, the rest is kept."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._rest = b""
        self._lines: list[str] = []

    def hear(self, data: bytes) -> None:
        """Take what has just come."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in (raw.decode(errors="replace") for raw in lines):
            if line.startswith(PROGRESS):
                self._progress(line.removeprefix(PROGRESS))
            else:
                self._lines.append(line)

    def pass_on(self) -> None:
        """Show what was kept: a complaint that came beside an answer."""
        for line in self._lines:
            print(line, file=sys.stderr)

    def error(self, status: int) -> NettraceError:
        """The guest's own error, raised again here."""
        text = "\n".join([*self._lines, self._rest.decode(errors="replace")])
        if "error: " not in text and status - 128 in (signal.SIGINT, signal.SIGTERM):
            return Interrupted("interrupted before anything was measured", fix="run it again")
        kinds = {kind.exit_code: kind for kind in (UsageError, PrivilegeError, MachineError, Interrupted)}
        if status not in kinds or "error: " not in text:
            last = [line for line in text.splitlines() if line.strip()][-6:]
            return LabError(f"nettrace failed in the lab's guest (exit code {status})", "\n       ".join(last))
        what, _, rest = text.partition("error: ")[2].partition("\n  why: ")
        why, _, fix = rest.partition("\n  fix: ")
        if not rest:
            what, _, fix = what.partition("\n  fix: ")
        return kinds[status](what.strip(), why.strip(), fix.strip())


def _with_received(recording: Recording, receiver: Server) -> Recording:
    """The recording with what the host's receiver counted: the passes' connections came one after the other."""
    threads = recording.experiment.threads
    passes = [one for one in (recording.workload, recording.observed) if one is not None]
    repeated = recording.attempts - 1 if recording.observed is not None else 0
    receiver.wait_for(threads * (len(passes) + repeated), _DRAIN_S)
    counts = [connection.bytes if connection.ended.is_set() else None for connection in receiver.connections]
    # Of an observed pass that was repeated, the last attempt is the one that counts.
    bare, observed = counts[:threads], counts[threads:][-threads:]
    return msgspec.structs.replace(
        recording,
        workload=_received(recording.workload, bare, threads),
        observed=_received(recording.observed, observed, threads),
    )


def _received(workload: Workload | None, counts: list[int | None], threads: int) -> Workload | None:
    """Unknown stays unknown: a pass whose connections did not all come to their end has no sum."""
    if workload is None or len(counts) != threads:
        return workload
    return msgspec.structs.replace(workload, received_bytes=total(*counts))
