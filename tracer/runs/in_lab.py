"""Does an experiment under another kernel: the lab's way to fill the same recording."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator

import msgspec

from tracer import errors
from tracer.books.tallies import total
from tracer.errors import Interrupted, LabError, MachineError, NettraceError
from tracer.lab import kernels, making, opening, snapshots, sources
from tracer.lab.guest import Guest, Sink
from tracer.model import Experiment, Link, Recording, Workload
from tracer.runs import warm, warming
from tracer.runs.dispatch import Progress
from tracer.runs.orders import PROGRESS, Answer, CommandOrder, Failure, Order
from workloads.serving import Server

# What an emulated processor, some 20 times slower, sends in a fraction of a second.
_DEFAULT_BYTES, _MIN_MESSAGES, _MAX_MESSAGES = 4 << 20, 16, 1000

# The host's 127.0.0.1, as QEMU's user-mode network shows it to the guest.
_HOST_ADDRESS = "10.0.2.2"

# QEMU acknowledges bytes before it has passed them on; then the receiver reads until the end of file.
_DRAIN_S = 10.0

_ANSWERS = msgspec.json.Decoder(Answer)
AGAIN = "run it again; if it repeats, report it with these words"


def default_messages(size: int, threads: int) -> int:
    """Messages of each connection where the user gave neither a number nor a duration."""
    return max(_MIN_MESSAGES, min(_MAX_MESSAGES, _DEFAULT_BYTES // size) // threads)


def record(
    experiment: Experiment, progress: Progress, *, port: int = 0, observed: bool = True, there: Guest | None = None
) -> Recording:
    """Run an experiment in the guest; the same signature as runner.record.

    Args:
        port: Port of the host's receiver, for link nic; on other links the guest takes any free one.
        observed: Whether there is an observed pass.
        there: The guest to do it in, which stays; None opens one for this experiment.

    Raises:
        LabError: the guest did not start, hung, panicked or was killed.
        NettraceError: whatever nettrace raised in the guest.
    """
    if experiment.messages is None and experiment.duration_s is None:
        messages = default_messages(experiment.size, experiment.threads)
        experiment = msgspec.structs.replace(experiment, messages=messages)
    kernel = experiment.lab or kernels.default()
    least = warming.least_for(experiment.observer)
    wanted = warming.wanted(kernel, bounce=experiment.bounce, least=least)
    opened = opening.guest(wanted, progress) if there is None else contextlib.nullcontext(there)
    with _receiver(experiment, port) as receiver, opened as guest:
        for command in experiment.setup:
            _set_up(guest, command)
        peer = experiment.peer if receiver is None else f"{_HOST_ADDRESS}:{receiver.port}"
        asked = msgspec.structs.replace(experiment, lab=None, peer=peer)
        recording = _record_in(guest, Order(experiment=asked, observed=observed), progress)
        if receiver is not None:
            recording = _with_received(recording, receiver)
    # Not the host as the guest knows it, which means nothing to who reads this.
    told = msgspec.structs.replace(recording.experiment, lab=kernel, peer=experiment.peer)
    return msgspec.structs.replace(recording, experiment=told)


def _set_up(guest: Guest, command: str) -> None:
    """Run a shell command among the host's files; what it changes in the kernel is there for the passes."""
    said = bytearray()
    status = guest.run(["sh", "-c", command], stdout=said.extend, stderr=said.extend)
    if status != 0:
        last = said.decode(errors="replace").strip().splitlines()[-3:]
        raise MachineError(
            f"--setup {command!r} failed in the lab's guest",
            "; ".join([f"exit code {status}", *last]),
            f"try it: nettrace lab exec -- sh -c {command!r}",
        )


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
    said, complaint = bytearray(), Complaint(progress)
    status, handed_in = give(guest, order, progress, said.extend, complaint.hear)
    answer = _ANSWERS.decode(said) if said else None
    if answer is None:
        raise complaint.error(status)
    renew(guest, answer.outdated, handed_in, progress)
    if answer.recording is None:
        raise error_of(answer.failure)
    complaint.pass_on()
    return answer.recording


def give(guest: Guest, order: Order | CommandOrder, progress: Progress, stdout: Sink, stderr: Sink) -> tuple[int, bool]:
    """Have the order carried out by the process that waits in the guest, all loaded.

    Returns:
        The exit code, and whether nettrace's modules had to be handed in.

    Raises:
        LabError: the guest hung, panicked or was killed.
    """
    digest = sources.digest()
    if guest.step < warming.RUN:
        _prepare(guest, digest, progress)
    modules = b"" if guest.sources == digest else sources.bundle(digest)
    status = guest.run(
        warming.python("tracer.runs.in_guest"),
        env=warming.environment() | {"NETTRACE_RESIDENT": warm.ADDRESS},
        stdin=msgspec.json.encode(order) + b"\n" + modules,
        stdout=stdout,
        stderr=stderr,
        host_files=isinstance(order, CommandOrder),
    )
    return status, bool(modules)


def _prepare(guest: Guest, digest: str, progress: Progress) -> None:
    """Where there can be no snapshot: the same in this guest, for this run and those that it may do after it."""
    step = warming.steps(digest)[0]
    progress(step.label)
    making.do(guest, step)
    guest.sources, guest.step = digest, warming.RUN


def renew(guest: Guest, outdated: list[str], handed_in: bool, progress: Progress) -> None:
    """Have the guest saved anew behind the answer, where it need be: the next order need not bring what this one did.

    Args:
        outdated: Programs that it holds compiled from another text.
        handed_in: It holds other modules; another release's, where nobody is editing ours.
    """
    files = [name.partition(" ")[0] for name in outdated]
    changed = files or (["nettrace"] if handed_in and sources.settled() else [])
    if not changed:
        return
    progress(f"{' and '.join(changed)} changed: making another snapshot of the lab's guest behind this answer")
    wanted = warming.wanted(guest.hardware.kernel.name, bounce=guest.hardware.bounce)
    place = opening.place(wanted, opening.hardware(wanted, progress))
    snapshots.remove_prepared(place)
    making.start_behind(place, warming.maker(wanted.kernel, wanted.bounce))


def error_of(failure: Failure | None) -> NettraceError:
    """The guest's own error, raised again here."""
    kind = getattr(errors, failure.kind, None) if failure is not None else None
    if failure is None or not (isinstance(kind, type) and issubclass(kind, NettraceError)):
        why = failure.what if failure else "it gave no reason"
        return LabError("nettrace failed in the lab's guest", why, AGAIN)
    return kind(failure.what, failure.why, failure.fix)


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
        """Of a command that ended without an answer."""
        if status - 128 in (signal.SIGINT, signal.SIGTERM):
            return Interrupted("interrupted before anything was measured", fix="run it again")
        text = "\n".join([*self._lines, self._rest.decode(errors="replace")])
        last = [line for line in text.splitlines() if line.strip()][-6:]
        return LabError(f"nettrace failed in the lab's guest (exit code {status})", "\n       ".join(last), AGAIN)


def _with_received(recording: Recording, receiver: Server) -> Recording:
    """The recording with what the host's receiver counted: the passes' connections came one after the other."""
    threads = recording.experiment.threads
    passes = [one for one in (recording.workload, recording.observed) if one is not None]
    repeated = recording.attempts - 1 if recording.observed is not None else 0
    receiver.wait_for(threads * (len(passes) + repeated), _DRAIN_S)
    counts = [connection.bytes if connection.ended.is_set() else None for connection in receiver.connections]
    # Of an observed pass that was repeated, the last attempt is the one that counts.
    first = threads * (len(passes) - 1 + repeated)
    return msgspec.structs.replace(
        recording,
        workload=_received(recording.workload, counts[:threads], threads),
        observed=_received(recording.observed, counts[first : first + threads], threads),
    )


def _received(workload: Workload | None, counts: list[int | None], threads: int) -> Workload | None:
    """Unknown stays unknown: a pass whose connections did not all come to their end has no sum."""
    if workload is None or len(counts) != threads:
        return workload
    return msgspec.structs.replace(workload, received_bytes=total(*counts))
