"""What a recording of either kind says of the figures that --expect knows. Pure."""

from __future__ import annotations

from fractions import Fraction

from tracer.books.copies import copied_of_read, copied_of_sent
from tracer.books.expectations import Evidence, Expectation, Judged, judge
from tracer.books.later_copies import LaterCopies
from tracer.books.skipped_calls import tell_uncounted
from tracer.books.socket_laws import balance
from tracer.books.tallies import total
from tracer.books.verdict import UNDECIDED, ZERO_COPY
from tracer.model import Document, LawState, Stage
from tracer.model.socket_recording import SocketRecording
from tracer.model.sockets import READ_WAYS, SEND_WAYS, Completions
from tracer.texts import counted
from tracer.units import format_ratio

Figure = tuple[Fraction | None, str]
Standing = tuple[LawState, str]


def judge_all(expectations: list[Expectation], recording: Document | SocketRecording) -> list[Judged]:
    """What becomes of rules on a recording of either kind."""
    found = evidence_of(recording) if expectations else None
    return [judge(one, found) for one in expectations] if found else []


def evidence_of(recording: Document | SocketRecording) -> Evidence:
    """The evidence of a recording."""
    return _of_sockets(recording) if isinstance(recording, SocketRecording) else _of_a_run(recording)


def _share(part: int | None, whole: int, unknown: str = "not observed") -> Figure:
    if part is None:
        return None, unknown
    if not whole:
        return None, "no payload moved"
    return Fraction(part, whole), f"{format_ratio(part / whole)}: {part:,} of {whole:,}"


def _copies(copied: int | None, moved: int) -> Figure:
    value, told = _share(copied, moved, "where it was copied was not observed")
    return value, told if value is None else f"{told} B"


def _of_sockets(recording: SocketRecording) -> Evidence:
    totals, later = recording.totals, LaterCopies(recording).in_all()
    in_unknown_ways = totals.sent_by("unknown") > 0
    figures = {
        "send copies": _copies(copied_of_sent(totals, later.bytes), totals.sent_bytes),
        "read copies": _copies(copied_of_read(totals), totals.read_bytes),
        "completions copied": _completions(totals.completions),
    }
    for way in SEND_WAYS:
        part = None if in_unknown_ways and way != "unknown" else totals.sent_by(way)
        figures[f"way {way}"] = _share(part, totals.sent_bytes, "the way of some bytes could not be told")
    for way in READ_WAYS:
        figures[f"read {way}"] = _share(totals.read_by(way), totals.read_bytes)
    laws = _laws_of_sockets(recording)
    return Evidence(figures, laws, _zerocopy(recording, later.bytes), _doubt(recording, laws))


def _completions(done: Completions | None) -> Figure:
    return _share(done.copied, done.total) if done is not None and done.total else (None, "no notification was seen")


def _laws_of_sockets(recording: SocketRecording) -> Standing:
    states = balance(recording.sockets)
    for state, words in ((LawState.BROKEN, "do not balance"), (LawState.UNKNOWN, "cannot be judged")):
        if states[state]:
            return state, f"the books of {counted(states[state], 'socket')} {words}"
    if recording.unlisted_sockets:
        return LawState.UNKNOWN, f"{counted(recording.unlisted_sockets, 'socket')} not listed"
    if not states.total():
        return LawState.UNKNOWN, "there is no socket"
    return LawState.HOLDS, f"the books of {counted(states.total(), 'socket')} balance"


def _doubt(recording: SocketRecording, laws: Standing) -> str:
    if laws[0] is LawState.BROKEN:
        return laws[1]
    if recording.lost:
        return f"{counted(recording.lost, 'socket')} lost"
    missed = tell_uncounted(recording)
    return f"the kernel {missed}" if missed else ""


def _zerocopy(recording: SocketRecording, later: int | None) -> Standing:
    """Whether all that was asked for was done, and nothing of it copied in the end."""
    totals = recording.totals
    ignored, pinned = totals.sent_by("zerocopy_ignored"), totals.pinned_bytes
    if ignored:
        return LawState.BROKEN, f"the flag of {ignored:,} B was ignored"
    if later:
        return LawState.BROKEN, f"{later:,} B were copied later"
    if totals.completions is not None and totals.completions.copied:
        return LawState.BROKEN, f"{totals.completions.copied:,} notifications say copied"
    if not pinned:
        return LawState.BROKEN, "nothing was sent by zero-copy"
    if later is None:
        return LawState.UNKNOWN, "whether it was copied later was not observed"
    return LawState.HOLDS, f"{pinned:,} B pinned, none copied later"


def _of_a_run(document: Document) -> Evidence:
    ledger, observed = document.ledger, document.observed
    payload = observed.payload_bytes if observed is not None else 0
    done = observed.completions if observed is not None else None
    copies = ledger.copies_per_byte
    figures = {
        "send copies": _ratio(copies.send),
        "read copies": _ratio(copies.receive),
        "completions copied": _share(done.copied, done.total) if done else (None, "there are no notifications"),
        **_ways_of_a_run(document, payload),
    }
    doubt = "" if ledger.trustworthy else "; ".join(ledger.doubts) or "the recording cannot be trusted"
    return Evidence(figures, _laws_of_a_run(document), _verdict(document), doubt)


def _ratio(copies: float | None) -> Figure:
    return (None, "not observed") if copies is None else (Fraction(copies), f"{format_ratio(copies)} copies of a byte")


def _ways_of_a_run(document: Document, payload: int) -> dict[str, Figure]:
    """What is not listed is nothing where the ways that are account for every byte."""
    stages = {"copy": Stage.COPY_IN, "zerocopy": Stage.PIN, "splice": Stage.SPLICE}
    found = {way: document.ledger.bytes_of(stage) for way, stage in stages.items()}
    if document.ledger.entry(Stage.ENCRYPT):  # a cipher that reads the sender's pages in place is no zero-copy send
        found |= {"copy": total(found["copy"], found["zerocopy"]), "zerocopy": 0}
    is_whole = sum(size or 0 for size in found.values()) == payload
    sizes = {way: 0 if size is None and is_whole else size for way, size in found.items()}
    return {f"way {way}": _share(size, payload) for way, size in sizes.items()}


def _laws_of_a_run(document: Document) -> Standing:
    """Laws that rest on what this machine does not show are no breach; without one that holds nothing is known."""
    states = [law.state for law in document.ledger.laws]
    broken, held = states.count(LawState.BROKEN), states.count(LawState.HOLDS)
    if broken:
        return LawState.BROKEN, f"{broken} of {counted(len(states), 'law')} broken"
    if document.ledger.lost_events or not held:
        return LawState.UNKNOWN, "events were lost" if held else "no law could be judged"
    return LawState.HOLDS, f"{held} of {counted(len(states), 'law')} hold, none is broken"


def _verdict(document: Document) -> Standing:
    code, sentence = document.verdict.code, document.verdict.sentence
    state = {ZERO_COPY: LawState.HOLDS, UNDECIDED: LawState.UNKNOWN}.get(code, LawState.BROKEN)
    return state, sentence.rstrip(".")
