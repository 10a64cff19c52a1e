"""Runs the experiments that show where a byte is copied, on every lab kernel, and checks each count to the byte.

It prints the table in Markdown; `make lab-matrix` puts it into docs/lab-matrix.md, between the markers
<!-- lab-matrix --> and <!-- /lab-matrix -->. It exits with 1 if anything is off.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tracer.books import modes
from tracer.books.analysis import document_of
from tracer.books.drops import dropped_by_sender
from tracer.books.function_entries import transmit_row
from tracer.books.function_rows import Row
from tracer.books.modes import STUDIED, USUAL, Conditions, predicted
from tracer.books.receiving import RECEIVE_NAMES, USUAL_RECEIVE, receive
from tracer.books.records import ADDED
from tracer.books.tallies import bytes_at
from tracer.errors import Interrupted, NettraceError
from tracer.lab import kernels
from tracer.model import Document, Experiment, LawState, Link, ObserverChoice, Stage
from tracer.runs.in_lab import record

# Odd and prime, so that nothing adds up by accident: 230161 B.
SIZE, MESSAGES = 10007, 23
HEADERS = SIZE // 8 * MESSAGES
# UDP pins what fits into one packet alone.
SIZES = {"udp-zerocopy": 1021}
PAGE = Path(__file__).resolve().parent.parent / "docs" / "lab-matrix.md"
BEGIN, END = "<!-- lab-matrix -->", "<!-- /lab-matrix -->"

# ETH_P_ALL takes what a device sends, too.
_TAP = (
    "from socket import *; s = socket(AF_PACKET, SOCK_RAW, htons(3)); s.bind((DEVICE, 3)); import time; time.sleep(600)"
)


def _tap(device: str) -> str:
    """Starts a tap, and waits until the kernel shows it."""
    program = _TAP.replace("DEVICE", repr(device))
    return (
        f'setsid {sys.executable} -c "{program}" >/dev/null 2>&1 & '
        "until grep -q ' 0003 ' /proc/net/packet; do sleep 0.1; done"
    )


@dataclass(frozen=True)
class Way:
    """A link and what is special about it.

    Args:
        fields: Of the experiment, beside the link.
        conditions: What the oracle is to suppose.
        setup: What the guest's root does before the passes.
    """

    link: Link
    conditions: Conditions = USUAL
    fields: Mapping[str, bool | str] = field(default_factory=dict)
    setup: str = ""


def _with_qdisc(qdisc: str) -> Way:
    return Way(Link.LO, setup=f"tc qdisc add dev lo root {qdisc}")


def _tapped(link: Link, device: str) -> Way:
    return Way(link, Conditions(tapped=True), setup=_tap(device))


# --bounce comes last: it needs another boot.
LINKS = {
    "lo": Way(Link.LO),
    "veth": Way(Link.VETH),
    "nic": Way(Link.NIC),
    "nic --no-sg": Way(Link.NIC, Conditions(linear=True), {"scatter_gather": False}),
    "lo tapped": _tapped(Link.LO, "lo"),
    "nic tapped": _tapped(Link.NIC, "eth0"),
    "nic tx-off": Way(Link.NIC, Conditions(summed=True), setup="ethtool -K eth0 tx off"),
    "lo netem-loss": _with_qdisc("netem loss 10%"),
    "lo netem-duplicate": _with_qdisc("netem duplicate 20%"),
    "lo full-qdisc": _with_qdisc("netem limit 1 delay 2ms"),
    "nic --bounce": Way(Link.NIC, Conditions(bounced=True), {"bounce": True}),
}
# Ways to read, on lo; asked for by --links.
READINGS = {f"lo {name}": Way(Link.LO, fields={"receive": name}) for name in RECEIVE_NAMES}
WAYS = {**LINKS, **READINGS}
AT_THE_READER = (Stage.COPY_OUT, Stage.SPLICE_OUT, Stage.MAP_OUT)
SHOWN = (Stage.COPY_IN, Stage.PIN, Stage.SPLICE, Stage.DEFERRED_COPY, Stage.LINEARIZE, Stage.BOUNCE, Stage.DMA)


@dataclass(frozen=True)
class Cell:
    """One run: what it was, what came out, and what is wrong with it."""

    kernel: str
    mode: str
    link: str
    document: Document
    problems: list[str]

    def row(self) -> str:
        """The run as a row of the Markdown table, but for its kernel."""
        ledger, observed = self.document.ledger, self.document.observed
        payload = observed.payload_bytes if observed else 0
        bytes_of = [_times(bytes_in(self.document, stage), payload) for stage in SHOWN]
        done = observed.completions if observed else None
        flag = f"{done.copied} of {done.total}" if done else "-"
        result = "; ".join(self.problems) or self.document.verdict.code
        besides = [_or_unknown(ledger.retransmitted_bytes), _or_unknown(_dropped(self.document))]
        return f"| {' | '.join([self.mode, self.link, *bytes_of, *besides, flag, result])} |"


def bytes_in(document: Document, stage: Stage) -> int | None:
    """None where nobody looked; what is spliced, or mapped, has an entry only where something was."""
    if stage in (Stage.SPLICE, Stage.SPLICE_OUT, Stage.MAP_OUT) and document.ledger.entry(stage) is None:
        return 0
    return document.ledger.bytes_of(stage)


def _dropped(document: Document) -> int | None:
    """None where nobody looked for drops; that has no entry, and neither has what was not dropped."""
    if dropped_by_sender(document.observations[0]) is None:
        return None
    return document.ledger.bytes_of(Stage.DROPPED) or 0


def _or_unknown(count: int | None) -> str:
    return "n/a" if count is None else f"{count:,}"


def _times(count: int | None, payload: int) -> str:
    """0, 1x, or the bytes as they are."""
    if count is None:
        return "n/a"
    return "0" if not count else "1x" if count == payload else f"{count:,} B"


def size_of(mode: str) -> int:
    """Bytes of a message."""
    return SIZES.get(mode, SIZE)


# Done to a byte each time that it comes to the device; the other stages are done once.
_EACH_TIME = (Stage.DEFERRED_COPY, Stage.LINEARIZE, Stage.BOUNCE, Stage.DMA)


def expected(mode: str, way: Way, at_device: int) -> dict[Stage, int]:
    """Bytes of each stage that the oracle demands, to the byte.

    Args:
        at_device: Payload that came to the device, with what came there again.
    """
    reading, size = receive(str(way.fields.get("receive", USUAL_RECEIVE.name))), size_of(mode)
    copies = predicted(modes.mode(mode), way.link, way.conditions, size=size, receive=reading)
    at_the_reader = () if way.link is Link.NIC else (Stage.DECRYPT, *AT_THE_READER)
    seen = (*SHOWN, Stage.ENCRYPT, *at_the_reader)
    stages = [stage for stage in seen if stage in copies]
    return {stage: round(copies[stage] * (at_device if stage in _EACH_TIME else size * MESSAGES)) for stage in stages}


def came_to_device(document: Document) -> int:
    """What TCP sent, less what was dropped before the device, and what a qdisc has doubled."""
    seen = document.observations[0]
    sent, doubled = bytes_at(seen, transmit_row(seen)), bytes_at(seen, Row.XMIT_UNOWNED)
    return (sent or 0) - (dropped_by_sender(seen) or 0) + (doubled or 0)


def verdict_expected(mode: str, way: Way) -> str:
    """The code of the verdict."""
    conditions, taken = way.conditions, modes.mode(mode)
    if taken.is_datagrams and not predicted(taken, way.link, conditions, size=size_of(mode))[Stage.PIN]:
        return _of_copied_datagrams(taken, conditions)
    if conditions.linear or conditions.bounced:
        return "copied-without-sg" if conditions.linear else "bounced"
    if not taken.asks_zerocopy:
        return _without_pinning(taken, conditions)
    if way.link is not Link.NIC:
        return "copied-by-loopback"
    if conditions.tapped or conditions.summed:
        return "copied-for-tap" if conditions.tapped else "copied-for-checksum"
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


def _is_right(mode: str, stage: Stage, found: int | None, wanted: Mapping[Stage, int]) -> bool:
    """To the byte; but a header that left alone, in a packet without a pinned page, is spared what these are given."""
    if modes.mode(mode).header and stage in (Stage.DEFERRED_COPY, Stage.LINEARIZE) and found is not None:
        return wanted[stage] - HEADERS <= found <= wanted[stage]
    return found == wanted[stage]


def problems_of(document: Document, mode: str, way: Way) -> list[str]:
    """What is not as it must be; empty if all is."""
    ledger, observed = document.ledger, document.observed
    if observed is None or observed.payload_bytes != size_of(mode) * MESSAGES:
        return ["payload not sent whole"]
    # Behind the device nobody has keys: what comes there are records.
    is_read_as_records = modes.mode(mode).is_encrypted and way.link is Link.NIC
    if observed.received_bytes != observed.payload_bytes + is_read_as_records * ADDED * MESSAGES:
        return [f"received {observed.received_bytes}"]
    wanted = expected(mode, way, came_to_device(document))
    found = {stage: bytes_in(document, stage) for stage in wanted}
    wrong = [
        f"{stage}: {found[stage]} not {wanted[stage]}"
        for stage in wanted
        if not _is_right(mode, stage, found[stage], wanted)
    ]
    wrong += [f"law {law.id} {law.left} != {law.right}" for law in ledger.laws if law.state is LawState.BROKEN]
    if document.verdict.code != verdict_expected(mode, way):
        wrong.append(f"verdict {document.verdict.code}")
    return wrong + _misnamed_drops(document)


def _misnamed_drops(document: Document) -> list[str]:
    """A drop by a queue discipline that does not bear its name: all of the matrix's are netem."""
    named = [entry.function for entry in document.ledger.entries if entry.note.startswith("QDISC")]
    return [f"dropped by {name}" for name in named if name != "qdisc netem on lo"]


def run(kernel: str, mode: str, link: str, observer: ObserverChoice = ObserverChoice.ALL) -> Cell:
    """One experiment, watched by both observers unless told otherwise."""
    way = WAYS[link]
    experiment = Experiment(
        mode=mode, size=size_of(mode), messages=MESSAGES, lab=kernel, link=way.link, observer=observer,
        setup=(way.setup,) if way.setup else (), **way.fields,  # type: ignore[arg-type]
    )  # fmt: skip
    document = document_of(record(experiment, lambda _: None))
    if not document.complete:  # a signal goes to the guest, which answers with what it has
        raise Interrupted("interrupted", fix="run it again")
    return Cell(kernel, mode, link, document, problems_of(document, mode, way))


def cells(kernels: list[str], links: list[str], modes: list[str], observer: ObserverChoice) -> Iterator[Cell | str]:
    """All runs; a sentence for each that could not be done. Links in the outer loop: --bounce needs another boot."""
    for kernel in kernels:
        for link in links:
            for mode in modes:
                try:
                    yield run(kernel, mode, link, observer)
                except Interrupted:
                    raise
                except NettraceError as error:
                    yield f"{kernel} {mode} {link}: {error}"


def table(done: list[Cell]) -> str:
    """The Markdown table; runs that came out alike on several kernels share a row."""
    names = ["kernels", "mode", "link", *(str(stage).replace("_", " ") for stage in SHOWN)]
    names += ["sent again, B", "dropped, B", "flagged copied", "verdict"]
    head = [f"| {' | '.join(names)} |", "|" + "---|" * len(names)]
    kernels: dict[str, list[str]] = {}
    for cell in done:
        kernels.setdefault(cell.row(), []).append(cell.kernel)
    return "\n".join([*head, *(f"| {', '.join(found)} {row}" for row, found in kernels.items())]) + "\n"


def publish(text: str) -> None:
    """Put the table between the page's markers."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{text}{END}{after}")


def main() -> int:
    """0 if every count is right."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kernels", default=",".join(kernels.names()))
    parser.add_argument("--links", default=",".join(LINKS), help=f"or, too: {', '.join(READINGS)}")
    parser.add_argument("--modes", default=",".join(STUDIED))
    parser.add_argument("--observer", default="all", choices=["all", "functions"])
    parser.add_argument("--publish", action="store_true", help=f"put the table into docs/{PAGE.name}")
    given = parser.parse_args()
    done, failures = [], []
    asked = (given.kernels.split(","), given.links.split(","), given.modes.split(","))
    for cell in cells(*asked, ObserverChoice(given.observer)):
        if isinstance(cell, str):
            failures.append(cell)
        else:
            done.append(cell)
            failures += [f"{cell.kernel} {cell.mode} {cell.link}: {problem}" for problem in cell.problems]
        print(cell if isinstance(cell, str) else f"| {cell.kernel} {cell.row()}", file=sys.stderr, flush=True)
    if given.publish and not failures:
        publish(table(done))
    else:
        print(table(done), end="")
    print("\n".join(failures) or f"all {len(done)} runs are right to the byte", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Interrupted as interrupted:
        print(interrupted, file=sys.stderr)
        sys.exit(interrupted.exit_code)
