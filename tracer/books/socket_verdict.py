"""The answer in one or two sentences, about this program. Pure."""

from __future__ import annotations

from tracer.model_sockets import SocketRecording, Totals, Transfer
from tracer.units import percent

_SENT = {
    "splice": "spliced (not copied)",
    "copy": "copied by send",
    "zerocopy": "pinned for zero-copy",
    "zerocopy_ignored": "copied in spite of MSG_ZEROCOPY",
    "uring_zerocopy": "pinned for zero-copy by io_uring",
    "unknown": "handed over in a way that could not be told",
}
_READ = {
    "copy": "copied to it",
    "discard": "thrown away (MSG_TRUNC, not copied)",
    "splice": "spliced on (not copied)",
    "mapped": "mapped (not copied)",
}


def sentences_of(recording: SocketRecording) -> list[str]:
    """What the program sent and read, and how; nothing of a direction that it did not use."""
    totals, name = recording.totals, subject_of(recording)
    sending = sum(1 for socket in recording.sockets if socket.sent_bytes)
    reading = sum(1 for socket in recording.sockets if socket.read_bytes)
    if recording.unlisted_sockets:
        sending = reading = len(recording.sockets) + recording.unlisted_sockets
    sentences = []
    if totals.sent_bytes:
        where = f"{name} sent {totals.sent_bytes:,} B on {_sockets(sending)}"
        sentences.append((totals.sent_bytes, f"{where}: {_shares(totals.sent, _SENT)}; {later_copies(recording)}."))
    if totals.read_bytes:
        where = f"{name} read {totals.read_bytes:,} B from {_sockets(reading)}"
        sentences.append((totals.read_bytes, f"{where}: {_shares(totals.read, _READ)}."))
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
    return f"{programs.pop()} (started by {name})" if len(programs) == 1 else f"{name} with what it started"


def _sockets(number: int) -> str:
    return f"{number:,} socket{'' if number == 1 else 's'}"


def _shares(transfers: dict[str, Transfer], words: dict[str, str]) -> str:
    amounts = {way: transfer.bytes for way, transfer in transfers.items() if way in words}
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
    totals = recording.totals
    pinned = sum(totals.sent[way].bytes for way in ("zerocopy", "uring_zerocopy") if way in totals.sent)
    if not pinned:
        return "nothing was copied later"
    if totals.deferred is not None:
        copied = sum(copy.bytes for copy in totals.deferred)
        # Whole skbs are copied, what was sent again once more: it may be more than was pinned.
        places = " and ".join(copy.caller.partition(".")[0] for copy in totals.deferred[:2])
        return f"{copied:,} B were copied later, in {places}" if copied else "nothing was copied later"
    return _by_the_flag(totals)


def _by_the_flag(totals: Totals) -> str:
    done = totals.completions
    if done is None or not done.total:
        return "whether they were copied later was not observed"
    if not done.copied:
        return "nothing was copied later, by the kernel's own flag"
    if done.copied == done.total:
        return "all of these were copied later, by the kernel's own flag"
    return f"{done.copied:,} of {done.total:,} zero-copy sends were copied later, by the kernel's own flag"
