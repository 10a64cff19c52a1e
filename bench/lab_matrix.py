"""Runs the experiments that show where a byte is copied, on every lab kernel, and checks each count to the byte.

`make lab-matrix` prints the table in Markdown; where README.md has the markers <!-- lab-matrix --> and
<!-- /lab-matrix -->, it replaces what is between them. It exits with 1 if anything is off.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import workloads
from tracer.books.analysis import document_of
from tracer.books.drops import lost_before_arrival
from tracer.books.function_rows import Row
from tracer.errors import Interrupted, MachineError, NettraceError
from tracer.lab.guest import Guest, guest_for
from tracer.lab.kernels import SUITES
from tracer.model import Document, Experiment, LawState, Link, ObserverChoice, Stage
from tracer.runs.in_lab import record
from workloads.modes import USUAL, Conditions, predicted

# Odd and prime, so that nothing adds up by accident: 230161 B.
SIZE, MESSAGES = 10007, 23
MODES = ("twocopy", "onecopy", "zerocopy")
README = Path(__file__).resolve().parent.parent / "README.md"
BEGIN, END = "<!-- lab-matrix -->", "<!-- /lab-matrix -->"

# ETH_P_ALL takes what a device sends, too.
_TAP = (
    "from socket import *; s = socket(AF_PACKET, SOCK_RAW, htons(3)); s.bind((DEVICE, 3)); import time; time.sleep(600)"
)


def _tap(device: str) -> str:
    """Starts a tap, and waits until the kernel shows it."""
    program = _TAP.replace("DEVICE", repr(device))
    return (
        f'setsid {sys.executable} -c "{program}" >/dev/null 2>&1 & echo $! > /run/matrix-tap; '
        "until grep -q ' 0003 ' /proc/net/packet; do sleep 0.1; done"
    )


_UNTAP = "kill $(cat /run/matrix-tap)"


@dataclass(frozen=True)
class Way:
    """A link and what is special about it.

    Args:
        fields: Of the experiment.
        conditions: What the oracle is to suppose.
        setup: Command of the guest's root before the run, and `undo` after it.
    """

    fields: dict[str, object]
    conditions: Conditions = USUAL
    setup: str = ""
    undo: str = ""

    @property
    def link(self) -> Link:
        """Of the experiment."""
        return Link(str(self.fields["link"]))


_LO, _NIC = {"link": Link.LO}, {"link": Link.NIC}

LINKS = {
    "lo": Way(_LO),
    "veth": Way({"link": Link.VETH}),
    "nic": Way(_NIC),
    "nic --no-sg": Way({**_NIC, "scatter_gather": False}, Conditions(linear=True)),
    "lo tapped": Way(_LO, Conditions(tapped=True), _tap("lo"), _UNTAP),
    "nic tapped": Way(_NIC, Conditions(tapped=True), _tap("eth0"), _UNTAP),
    "nic tx-off": Way(_NIC, Conditions(summed=True), "ethtool -K eth0 tx off", "ethtool -K eth0 tx on"),
    "lo netem-loss": Way(_LO, setup="tc qdisc add dev lo root netem loss 3%", undo="tc qdisc del dev lo root"),
    "lo full-qdisc": Way(
        _LO, setup="tc qdisc add dev lo root netem limit 1 delay 2ms", undo="tc qdisc del dev lo root"
    ),
    "nic --bounce": Way({**_NIC, "bounce": True}, Conditions(bounced=True)),
}
SHOWN = (Stage.COPY_IN, Stage.PIN, Stage.DEFERRED_COPY, Stage.LINEARIZE, Stage.BOUNCE, Stage.DMA)


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
        bytes_of = [_times(ledger.bytes_of(stage), payload) for stage in SHOWN]
        done = observed.completions if observed else None
        flag = f"{done.copied} of {done.total}" if done else "-"
        result = "; ".join(self.problems) or self.document.verdict.code
        resent = f"{ledger.retransmitted_bytes:,}" if ledger.retransmitted_bytes is not None else "n/a"
        return f"| {' | '.join([self.mode, self.link, *bytes_of, resent, flag, result])} |"


def _times(count: int | None, payload: int) -> str:
    """0, 1x, or the bytes as they are."""
    if count is None:
        return "n/a"
    return "0" if not count else "1x" if count == payload else f"{count:,} B"


# Done to a byte each time that it is sent; the other stages are done once.
_EACH_TIME = (Stage.DEFERRED_COPY, Stage.LINEARIZE, Stage.BOUNCE, Stage.DMA)


def expected(mode: str, way: Way, sent: int) -> dict[Stage, int]:
    """Bytes of each stage that the oracle demands, to the byte.

    Args:
        sent: Payload that came to the device, with what came there again.
    """
    copies = predicted(workloads.mode(mode), way.link, way.conditions)
    stages = set(copies) & set(SHOWN)
    return {stage: round(copies[stage] * (sent if stage in _EACH_TIME else SIZE * MESSAGES)) for stage in stages}


def sent_to_device(document: Document) -> int:
    """What TCP sent, less what was dropped before the device."""
    transmitted = document.observations[0].tallies[Row.TRANSMIT].bytes
    return transmitted - (lost_before_arrival(document.observations[0]) or 0)


def verdict_expected(mode: str, way: Way) -> set[str]:
    """Codes of the verdict that are right; none where it is not this table's matter."""
    if way.conditions.linear or way.conditions.bounced:
        return {"copied-without-sg" if way.conditions.linear else "bounced"}
    if way.conditions != USUAL:
        return set()
    return {"copied" if mode != "zerocopy" else "zero-copy" if way.link is Link.NIC else "copied-by-loopback"}


def problems_of(document: Document, mode: str, way: Way) -> list[str]:
    """What is not as it must be; empty if all is."""
    ledger, observed = document.ledger, document.observed
    if observed is None or observed.payload_bytes != SIZE * MESSAGES:
        return ["payload not sent whole"]
    if observed.received_bytes != observed.payload_bytes:
        return [f"received {observed.received_bytes}"]
    wanted = expected(mode, way, sent_to_device(document))
    found = {stage: ledger.bytes_of(stage) for stage in wanted}
    wrong = [f"{stage}: {found[stage]} not {wanted[stage]}" for stage in wanted if found[stage] != wanted[stage]]
    wrong += [f"law {law.id} {law.left} != {law.right}" for law in ledger.laws if law.state is LawState.BROKEN]
    codes = verdict_expected(mode, way)
    if codes and document.verdict.code not in codes:
        wrong.append(f"verdict {document.verdict.code}")
    return wrong


def run(kernel: str, mode: str, link: str, observer: ObserverChoice = ObserverChoice.ALL) -> Cell:
    """One experiment, watched by both observers unless told otherwise."""
    way = LINKS[link]
    fields = {"mode": mode, "size": SIZE, "messages": MESSAGES, "lab": kernel, **way.fields}
    experiment = Experiment(observer=observer, **fields)  # type: ignore[arg-type]
    with prepared(kernel, way):
        document = document_of(record(experiment, lambda _: None))
    if not document.complete:  # a signal goes to the guest, which answers with what it has
        raise Interrupted("interrupted", fix="run it again")
    return Cell(kernel, mode, link, document, problems_of(document, mode, way))


@contextlib.contextmanager
def prepared(kernel: str, way: Way) -> Iterator[None]:
    """The guest as the way wants it, for the time of the block."""
    if not way.setup:
        yield
        return
    guest = guest_for(kernel, bool(way.fields.get("bounce")), lambda _: None)
    _order(guest, way.setup)
    try:
        yield
    finally:
        _order(guest, way.undo)


def _order(guest: Guest, command: str) -> None:
    said = bytearray()
    if guest.run(["/bin/sh", "-c", command], stderr=said.extend, reads=(), note=lambda _: None):
        raise MachineError(f"the guest refused: {command}", said.decode(errors="replace").strip())


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
    names += ["sent again, B", "flagged copied", "verdict"]
    head = [f"| {' | '.join(names)} |", "|" + "---|" * len(names)]
    kernels: dict[str, list[str]] = {}
    for cell in done:
        kernels.setdefault(cell.row(), []).append(cell.kernel)
    return "\n".join([*head, *(f"| {', '.join(found)} {row}" for row, found in kernels.items())]) + "\n"


def publish(text: str, readme: Path = README) -> bool:
    """Put the table between the README's markers; False if it has none."""
    before, begin, rest = readme.read_text().partition(BEGIN) if readme.exists() else ("", "", "")
    _, end, after = rest.partition(END)
    if not begin or not end:
        return False
    readme.write_text(f"{before}{BEGIN}\n{text}{END}{after}")
    return True


def main() -> int:
    """0 if every count is right."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kernels", default=",".join(SUITES))
    parser.add_argument("--links", default=",".join(LINKS))
    parser.add_argument("--modes", default=",".join(MODES))
    parser.add_argument("--observer", default="all", choices=["all", "functions"])
    parser.add_argument("--readme", action="store_true", help="put the table into README.md")
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
    if not (given.readme and publish(table(done))):
        print(table(done), end="")
    print("\n".join(failures) or f"all {len(done)} runs are right to the byte", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Interrupted as interrupted:
        print(interrupted, file=sys.stderr)
        sys.exit(interrupted.exit_code)
