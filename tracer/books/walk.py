"""The steps that the bytes of one recording took, with its counts: what explain tells. Pure.

Every count is the ledger's, the workload's own or that of a socket's totals; nothing is counted here.
"""

from __future__ import annotations

from typing import NamedTuple

from tracer.books.drops import POINT
from tracer.books.later_copies import Later, LaterCopies
from tracer.books.socket_ledger import SPLICED_OUT, SocketEntry, ledger_of
from tracer.books.steps import STEPS, Step
from tracer.books.tallies import total
from tracer.books.verdict import is_flag_wrong
from tracer.model import Cause, Completions, Document, Entry, Link, Stage
from tracer.model.socket_recording import SocketRecording
from tracer.model.sockets import Completions as SocketCompletions
from tracer.texts import counted


class Walked(NamedTuple):
    """A step, and what this recording shows of it.

    Args:
        bytes: Payload that took it; None where nobody observed it, which is not zero.
        where: Functions that were seen; empty for a step without an entry.
        seen_by: Who counted, and whether that is an inference; empty where nobody did.
        causes: Why a later copy was made.
        more: What else was counted, in words.
    """

    step: Step
    bytes: int | None
    where: str = ""
    seen_by: str = ""
    causes: tuple[Cause, ...] = ()
    more: str = ""

    @property
    def taken(self) -> bool | None:
        """Whether any byte took it; None where nobody observed it."""
        return None if self.bytes is None else self.bytes > 0


# Steps of bytes that have come.
AT_THE_READER = frozenset({"queue", "decrypt", "copy-out", "splice-out", "map-out"})


class Walk(NamedTuple):
    """All steps in their order, taken or not.

    Args:
        payload: Bytes that send calls accepted.
        read: Bytes that reads returned, where these need not be the same ones.
    """

    steps: list[Walked]
    payload: int
    read: int | None = None

    @property
    def is_of_a_run(self) -> bool:
        """Whether any byte took any step."""
        return bool(self.payload or self.read)

    def bytes_of(self, step: Step) -> int:
        """The bytes among which a step's share is told: at the reader's end those that were read."""
        return self.read if self.read is not None and step.word in AT_THE_READER else self.payload

    def copies(self) -> list[tuple[str, float]]:
        """Copies of each byte in the kernel, by verb; for both together where the bytes are the same ones."""
        if self.read is None:
            return [("", copied_bytes(self) / self.payload)] if self.payload else []
        ends = (("sent", False, self.payload), ("read", True, self.read))
        return [(verb, copied_bytes(self, of) / number) for verb, of, number in ends if number]

    def taken(self, word: str) -> Walked:
        """The step of that name."""
        return next(walked for walked in self.steps if walked.step.word == word)


def unwalked() -> Walk:
    """The way as it is known, of no run."""
    return Walk([Walked(step, None) for step in STEPS], 0)


def walk_of(document: Document) -> Walk:
    """Of a workload of ours."""
    observed = document.observed
    steps = [_counted(document, step) if step.stage else _uncounted(document, step) for step in STEPS]
    return Walk(steps, observed.payload_bytes if observed else 0)


def _counted(document: Document, step: Step) -> Walked:
    """By the entries of the step's stage."""
    entries = entries_at(step, document.ledger.entries)
    if not entries:
        return Walked(step, _absent(document, step))
    causes = tuple(dict.fromkeys(entry.cause for entry in entries if entry.cause))
    where = ", ".join(dict.fromkeys(entry.function for entry in entries))
    seen_by = ", ".join(dict.fromkeys(map(_seen_by, entries)))
    more = _pulled(document.ledger.pulled_bytes) if step.stage is Stage.LINEARIZE else ""
    return Walked(step, total(*(entry.bytes for entry in entries)), where, seen_by, causes, more)


def _pulled(number: int | None) -> str:
    """What is linear of packets that are not."""
    return f"apart: {number:,} B that the driver pulled in beside the packets' headers" if number else ""


def _seen_by(entry: Entry) -> str:
    """What is told by the packets' state is inferred, and so is a copy of which only its cause was seen."""
    is_inferred = entry.source.startswith(("cgroup:", "/proc/"))
    return f"{entry.source}, inferred" if is_inferred else entry.source


def entries_at(step: Step, entries: list[Entry]) -> list[Entry]:
    """Those that count a step."""
    return [entry for entry in entries if entry.stage is step.stage and entry.cause in step.causes]


def _absent(document: Document, step: Step) -> int | None:
    """Of a step without an entry: 0 where one would be there if a byte had taken it, None where nobody looked."""
    entries = document.ledger.entries
    if not entries or any(entry.stage is step.stage and entry.bytes is None for entry in entries):
        return None
    if step.stage is Stage.DROPPED:
        return 0 if POINT in document.observations[0].attached else None
    return None if step.word in AT_THE_READER and document.experiment.link is Link.NIC else 0


def _uncounted(document: Document, step: Step) -> Walked:
    """By the program's own count, and TCP's."""
    observed, is_looped = document.observed, document.experiment.link is not Link.NIC
    if observed is None:
        return Walked(step, None)
    done = observed.completions
    arrived = observed.bytes_received if observed.bytes_received is not None else observed.received_bytes
    # Nothing else counts what UDP passes down: it keeps none of it back.
    down = (observed.payload_bytes, _PROGRAM) if observed.datagrams else (observed.bytes_sent, _TCP)
    found: dict[str, tuple[int | None, str, str]] = {
        "send": (observed.payload_bytes, _PROGRAM, counted(observed.sends, "call")),
        "transmit": (*down, _again(document.ledger.retransmitted_bytes)),
        "loop": (*(down if is_looped else (0, _TCP)), ""),
        "queue": (arrived, _TCP if observed.bytes_received is not None else _PROGRAM, ""),
        "completion": (observed.payload_bytes if done else 0, _PROGRAM, f"{_flags(done)}{_refuted(document)}"),
    }
    number, seen_by, more = found.get(step.word, (0, "", ""))
    return Walked(step, number, seen_by=seen_by, more=more)


_PROGRAM, _TCP = "the program's own count", "TCP's own count (TCP_INFO)"


def _refuted(document: Document) -> str:
    """The completions set against what was counted."""
    wrong = is_flag_wrong(document, document.ledger)
    return ", and that is wrong: every byte was copied on its way to the device" if wrong else ""


def _again(number: int | None) -> str:
    return f"{number:,} B of them sent again" if number else ""


def _flags(done: Completions | SocketCompletions | None) -> str:
    """What the completions said."""
    return f"{done.copied:,} of {done.total:,} say 'copied'" if done is not None else ""


def walk_of_sockets(recording: SocketRecording) -> Walk:
    """Of the sockets of any program; what nobody watches there is not observed."""
    totals, later = recording.totals, LaterCopies(recording).in_all()
    entries, told = ledger_of(totals, recording.hooks.calls, later), _told_of(recording)
    return Walk(
        [_of_sockets(recording, step, told, entries, later) for step in STEPS], totals.sent_bytes, totals.read_bytes
    )


# Bytes, what counted them, what more is known of them; by the step's word.
_Told = dict[str, tuple[int | None, str, str]]


def _told_of(recording: SocketRecording) -> _Told:
    """Of the steps that have no place in the ledger."""
    totals, done = recording.totals, recording.totals.completions
    calls = sum(transfer.calls for transfer in totals.sent.values())
    return {
        "pack": (None, "", ""),
        **dict.fromkeys(("encrypt", "decrypt"), (_ciphered(recording), "", "")),
        "send": (totals.sent_bytes, recording.hooks.calls, counted(calls, "call")),
        "transmit": (totals.left.bytes, "packets that left IP", _again(totals.left.again)),
        "dropped": (_dropped(recording), "tracepoint:kfree_skb", ""),
        **(dict.fromkeys(_BY_DEVICES, (0, "packets that left IP, inferred", "")) if _all_looped(recording) else {}),
        "loop": (_looped(recording), "packets that left IP", ""),
        "queue": (totals.came.bytes, "packets that came from IP", ""),
        "completion": (totals.pinned_bytes if done else 0, "notifications that were posted", _flags(done)),
    }


def _of_sockets(
    recording: SocketRecording, step: Step, told: _Told, entries: list[SocketEntry], later: Later
) -> Walked:
    if step.word in told:
        number, seen_by, more = told[step.word]
        return Walked(step, number, seen_by=seen_by, more=more)
    if step.stage is Stage.DEFERRED_COPY:
        return _later(recording, step, later)
    entry = _entry_of(entries, step)
    return Walked(step, entry.bytes, "", entry.source, more=entry.note) if entry else Walked(step, None)


# lo has no DMA (drivers/net/loopback.c), and takes packets in any shape.
_BY_DEVICES = ("linearize", "bounce", "dma")


def _all_looped(recording: SocketRecording) -> bool:
    return _looped(recording) == recording.totals.left.bytes


def _ciphered(recording: SocketRecording) -> int | None:
    """None where there is kernel TLS: of what its socket sends and reads, the handshake passes in the clear."""
    above = any(socket.above == "ulp" for socket in recording.sockets)
    return None if above or recording.unlisted_sockets else 0


def _dropped(recording: SocketRecording) -> int | None:
    """On both sides; None where nobody looked, or this kernel does not name the receiver's socket."""
    return total(recording.totals.dropped_bytes, *(socket.dropped_in_bytes for socket in recording.sockets))


def _looped(recording: SocketRecording) -> int | None:
    """What left over lo; None where that is not known of each socket, or another device may loop it too."""
    sending = [socket for socket in recording.sockets if socket.left.bytes]
    if recording.unlisted_sockets or any(socket.link != "lo" for socket in sending):
        return None
    return sum(socket.left.bytes for socket in sending)


def _entry_of(entries: list[SocketEntry], step: Step) -> SocketEntry | None:
    wanted = {"splice-in": (Stage.SPLICE, False), "splice-out": (Stage.SPLICE, True)}.get(step.word)
    for entry in entries:
        if wanted is not None and entry.stage == wanted[0] and (entry.where == SPLICED_OUT) is wanted[1]:
            return entry
        if wanted is None and entry.stage == (step.stage or step.word.replace("-", "_")):
            return entry
    return None


def _later(recording: SocketRecording, step: Step, later: Later) -> Walked:
    """A tap's copies, which only a function probe tells from the others, or all others."""
    deferred = recording.totals.deferred
    if deferred is None:
        number = later.bytes if later.bytes == 0 or step.place else None
        return Walked(step, number, seen_by=later.source, more=(later.note or later.cause) if step.place else "")
    cause_of = LaterCopies(recording).cause_of
    found = [copy for copy in deferred if cause_of(copy.caller) in step.causes]
    causes = tuple(dict.fromkeys(cause_of(copy.caller) for copy in found))
    number = sum(copy.bytes for copy in found)
    return Walked(step, number, ", ".join(copy.caller for copy in found), later.source, causes)


def copied_bytes(walk: Walk, at_reader: bool | None = None) -> int:
    """Bytes that the CPU copied in the kernel, over all steps that were observed, at either end or at one."""
    return sum(
        walked.bytes or 0
        for walked in walk.steps
        if _is_in_kernel(walked.step) and at_reader in (None, walked.step.word in AT_THE_READER)
    )


def unobserved(walk: Walk) -> list[Step]:
    """Steps that copy, and that nobody observed."""
    return [walked.step for walked in walk.steps if walked.bytes is None and _is_in_kernel(walked.step)]


def _is_in_kernel(step: Step) -> bool:
    return step.is_copy and step.stage is not Stage.PACK
