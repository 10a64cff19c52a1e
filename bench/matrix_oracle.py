"""What each run of the lab matrix must have counted, to the byte, and what is wrong with one that has not. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from bench.matrix_cells import MESSAGES, WAYS, Way, size_of
from tracer.books import modes
from tracer.books.drops import dropped_by_sender
from tracer.books.function_entries import transmit_row
from tracer.books.function_rows import Row
from tracer.books.modes import Conditions, predicted
from tracer.books.receiving import USUAL_RECEIVE, receive
from tracer.books.records import ADDED
from tracer.books.tallies import bytes_at
from tracer.model import Cause, Document, LawState, Link, Stage

AT_THE_READER = (Stage.COPY_OUT, Stage.SPLICE_OUT, Stage.MAP_OUT)
SENT = (
    Stage.COPY_IN, Stage.PIN, Stage.SPLICE, Stage.ENCRYPT, Stage.DEFERRED_COPY, Stage.LINEARIZE, Stage.BOUNCE,
    Stage.DMA,
)  # fmt: skip
# Done to a byte each time that it comes to the device; the other stages are done once.
_EACH_TIME = (Stage.DEFERRED_COPY, Stage.LINEARIZE, Stage.BOUNCE, Stage.DMA)
# What is done to few of the modes has an entry only where it was done.
_RARE = (Stage.SPLICE, Stage.ENCRYPT, Stage.DECRYPT, Stage.SPLICE_OUT, Stage.MAP_OUT)


def bytes_in(document: Document, stage: Stage) -> int | None:
    """None where nobody looked."""
    if stage in _RARE and document.ledger.entry(stage) is None:
        return 0
    return document.ledger.bytes_of(stage)


class Case(NamedTuple):
    """What is to be foretold.

    Args:
        size: Bytes of a message.
    """

    mode: modes.Mode
    way: Way
    conditions: Conditions
    size: int

    def copies(self) -> modes.Copies:
        """What the oracle says of each stage."""
        reading = receive(str(self.way.fields.get("receive", USUAL_RECEIVE.name)))
        return predicted(self.mode, self.way.link, self.conditions, size=self.size, receive=reading)


def case_of(kernel: str, mode: str, link: str) -> Case:
    """Of one run: before 6.17 Linux takes packets off the sender's pages as they come in."""
    way, taken_off = WAYS[link], kernel in ("6.1", "6.12")
    conditions = way.conditions._replace(taken_off=way.conditions.forwarded and taken_off)
    return Case(modes.mode(mode), way, conditions, size_of(mode, link))


def expected(case: Case, at_device: int) -> dict[Stage, int]:
    """Bytes of each stage that the oracle demands, to the byte.

    Args:
        at_device: Payload that came to the device, with what came there again.
    """
    copies = case.copies()
    at_the_reader = () if case.way.link is Link.NIC else (Stage.DECRYPT, *AT_THE_READER)
    stages = [stage for stage in (*SENT, *at_the_reader) if stage in copies]
    payload = case.size * MESSAGES
    return {stage: round(copies[stage] * (at_device if stage in _EACH_TIME else payload)) for stage in stages}


def came_to_device(document: Document) -> int:
    """What TCP sent, less what was dropped before the device, and what a qdisc has doubled."""
    seen = document.observations[0]
    sent, doubled = bytes_at(seen, transmit_row(seen)), bytes_at(seen, Row.XMIT_UNOWNED)
    return (sent or 0) - (dropped_by_sender(seen) or 0) + (doubled or 0)


def verdict_expected(case: Case) -> str:
    """The code of the verdict."""
    taken, conditions = case.mode, case.conditions
    if taken.is_datagrams and not case.copies()[Stage.PIN]:
        return _of_copied_datagrams(taken, conditions)
    if conditions.linear or conditions.bounced:
        return "copied-without-sg" if conditions.linear else "bounced"
    if not taken.asks_zerocopy:
        return _without_pinning(taken, conditions)
    if case.way.link is not Link.NIC:
        return "copied-by-loopback"
    causes = {"forwarding": conditions.taken_off, "checksum": conditions.summed, "tap": conditions.tapped}
    copied = next((cause for cause, is_there in causes.items() if is_there), "")
    if copied:
        return "copied-by-forwarding" if copied == "forwarding" else f"copied-for-{copied}"
    return "partly-copied" if taken.header else "zero-copy"


def _of_copied_datagrams(taken: modes.Mode, conditions: Conditions) -> str:
    if conditions.bounced or (conditions.linear and taken.segmented):
        return "bounced" if conditions.bounced else "copied-without-sg"
    return "copied-at-once" if taken.asks_zerocopy else "copied"


def _without_pinning(taken: modes.Mode, conditions: Conditions) -> str:
    if taken.way == "copy" and not taken.is_encrypted:
        return "copied"
    if conditions.summed:
        return "copied-for-checksum"
    return "encrypted" if taken.is_encrypted else "spliced"


def problems_of(document: Document, kernel: str, mode: str, link: str) -> list[str]:
    """What is not as it must be; empty if all is."""
    case, ledger, observed = case_of(kernel, mode, link), document.ledger, document.observed
    if observed is None or observed.payload_bytes != case.size * MESSAGES:
        return ["payload not sent whole"]
    # Behind the device nobody has keys: what comes there are records.
    records = MESSAGES if case.mode.is_encrypted and case.way.link is Link.NIC else 0
    wrong = _otherwise(document, case)
    if observed.received_bytes != observed.payload_bytes + records * ADDED:
        wrong.append(f"received {observed.received_bytes}")
    wrong += [f"law {law.id} {law.left} != {law.right}" for law in ledger.laws if law.state is LawState.BROKEN]
    if document.verdict.code != verdict_expected(case):
        wrong.append(f"verdict {document.verdict.code} not {verdict_expected(case)}")
    return wrong + _misnamed_drops(document) + _misnamed_taps(document, case.way)


def _otherwise(document: Document, case: Case) -> list[str]:
    """Stages whose bytes are not what the oracle says."""
    wanted = expected(case, came_to_device(document))
    found = {stage: bytes_in(document, stage) for stage in wanted}
    spared = case.size // 8 * MESSAGES if case.mode.header else 0
    return [
        f"{stage}: {found[stage]} not {wanted[stage]}"
        for stage in wanted
        if not _is_right(stage, found[stage], wanted, spared)
    ]


def _is_right(stage: Stage, found: int | None, wanted: Mapping[Stage, int], spared: int) -> bool:
    """To the byte; but a header that left alone, in a packet without a pinned page, is spared what these are given."""
    if spared and stage in (Stage.DEFERRED_COPY, Stage.LINEARIZE) and found is not None:
        return wanted[stage] - spared <= found <= wanted[stage]
    return found == wanted[stage]


def _misnamed_drops(document: Document) -> list[str]:
    """A drop by a queue discipline that does not bear its name: all of the matrix's are netem."""
    named = [entry.function for entry in document.ledger.entries if entry.note.startswith("QDISC")]
    return [f"dropped by {name}" for name in named if name != "qdisc netem on lo"]


def _misnamed_taps(document: Document, way: Way) -> list[str]:
    """A tap's copy is one of all that left, for a tap that is named; without one there is none."""
    wanted = document.ledger.bytes_of(Stage.DEFERRED_COPY) if way.conditions.tapped else 0
    copies = [entry.bytes or 0 for entry in document.ledger.entries if entry.cause is Cause.PACKET_TAP]
    # Where the packets are delivered too, the other half is that.
    wrong = wanted is not None and sum(copies) * (1 if way.link is Link.NIC else 2) != wanted
    taps = document.host.packet_taps or []
    return [f"a tap's copies: {copies}"] * wrong + [f"taps: {taps}"] * (way.conditions.tapped != bool(taps))
