"""The answer in one or two sentences, about this program. Pure."""

from __future__ import annotations

from tracer.books.copies import ciphered_of_read, ciphered_of_sent
from tracer.books.later_copies import BY_FLAG, LaterCopies
from tracer.books.way_table import READ, SENT, spoken
from tracer.model.socket_recording import SocketRecording
from tracer.model.sockets import Totals, Transfer
from tracer.units import percent

_CIPHER = "cipher"


def sentences_of(recording: SocketRecording) -> list[str]:
    """What the program sent and read, and how; nothing of a direction that it did not use."""
    totals, name = recording.totals, subject_of(recording)
    sending = _sockets(recording, sum(1 for socket in recording.sockets if socket.sent_bytes))
    reading = _sockets(recording, sum(1 for socket in recording.sockets if socket.read_bytes))
    sentences = []
    if totals.sent_bytes:
        where, later = f"{name} sent {totals.sent_bytes:,} B on {sending}", later_copies(recording)
        sentences.append(
            (totals.sent_bytes, f"{where}: {_shares(totals.sent, spoken(SENT), ciphered_of_sent(totals))}; {later}.")
        )
    if totals.read_bytes:
        where = f"{name} read {totals.read_bytes:,} B from {reading}"
        sentences.append(
            (totals.read_bytes, f"{where}: {_shares(totals.read, spoken(READ), ciphered_of_read(totals))}.")
        )
    if sentences:
        return [sentence for _, sentence in sorted(sentences, reverse=True)]
    return [] if recording.findings else [f"{name} moved no byte."]


def subject_of(recording: SocketRecording) -> str:
    """Who did it: the command, or what it started."""
    name = recording.subject.argv[0].rpartition("/")[2]
    programs = {socket.comm for socket in recording.sockets if socket.comm and socket.sent_bytes + socket.read_bytes}
    # The kernel keeps 15 characters of a name.
    if not programs or programs == {name[:15]}:
        return name
    if recording.subject.ran_already:
        return " and ".join(sorted(programs)) if len(programs) < 3 else f"{name} and its children"
    return f"{programs.pop()} (started by {name})" if len(programs) == 1 else f"{name} with what it started"


def _sockets(recording: SocketRecording, number: int) -> str:
    """How many; where not all are listed, of those that are not nobody knows what each did."""
    if recording.unlisted_sockets:
        return f"some of its {len(recording.sockets) + recording.unlisted_sockets:,} sockets"
    return f"{number:,} socket{'' if number == 1 else 's'}"


def _shares(transfers: dict[str, Transfer], words: dict[str, str], ciphered: int) -> str:
    """ciphered: of those that calls have copied, the bytes that a cipher stood in the way of."""
    amounts = {way: transfer.bytes for way, transfer in transfers.items() if way in words}
    if ciphered:
        words = {**words, _CIPHER: "by way of a cipher in the kernel"}
        amounts |= {"copy": amounts["copy"] - ciphered, _CIPHER: ciphered}
    whole = sum(amounts.values())
    ordered = sorted((way for way in amounts if amounts[way]), key=lambda way: -amounts[way])
    if len(ordered) == 1:
        return f"all {words[ordered[0]]}"
    return ", ".join(f"{_share(amounts[way], whole)} {words[way]}" for way in ordered)


def _share(part: int, whole: int) -> str:
    """A share that never rounds something to nothing or to all."""
    text = percent(part, whole)
    return "under 0.1 %" if text == "0.0 %" else "over 99.9 %" if text == "100.0 %" else text


def later_copies(recording: SocketRecording) -> str:
    """What became of pinned pages after the send call."""
    later = LaterCopies(recording).in_all()
    if later.bytes is None:
        return _by_the_flag(recording.totals)
    if later.bytes:
        return f"{later.bytes:,} B were copied later, for {later.cause}"
    return f"nothing was copied later{', by ' + later.source if later.source == BY_FLAG else ''}"


def _by_the_flag(totals: Totals) -> str:
    done = totals.completions
    if done is None or not done.total or not done.copied:
        return "whether they were copied later was not observed"
    if done.copied == done.total:
        return "all of these were copied later, by the kernel's flag"
    return f"{done.copied:,} of {done.total:,} zero-copy sends were copied later, by the kernel's flag"
