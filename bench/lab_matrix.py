"""Runs the experiments that show where a byte is copied, on every lab kernel, and checks each count to the byte.

`make lab-matrix` prints the table in Markdown; where README.md has the markers <!-- lab-matrix --> and
<!-- /lab-matrix -->, it replaces what is between them. It exits with 1 if anything is off.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tracer.books.analysis import document_of
from tracer.errors import Interrupted, NettraceError
from tracer.lab import kernels
from tracer.model import Document, Experiment, LawState, Link, ObserverChoice, Stage
from tracer.runs.in_lab import record

# Odd and prime, so that nothing adds up by accident: 230161 B.
SIZE, MESSAGES = 10007, 23
MODES = ("twocopy", "onecopy", "zerocopy")
README = Path(__file__).resolve().parent.parent / "README.md"
BEGIN, END = "<!-- lab-matrix -->", "<!-- /lab-matrix -->"

LINKS: dict[str, dict[str, object]] = {
    "lo": {"link": Link.LO},
    "veth": {"link": Link.VETH},
    "nic": {"link": Link.NIC},
    "nic --no-sg": {"link": Link.NIC, "scatter_gather": False},
    "nic --bounce": {"link": Link.NIC, "bounce": True},
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


def expected(mode: str, link: str, resent: int) -> dict[Stage, int | None]:
    """Bytes of each stage that the theory demands, to the byte."""
    payload = SIZE * MESSAGES
    pinned = payload if mode == "zerocopy" else 0
    on_nic = link.startswith("nic")
    bounced = payload + resent if link == "nic --bounce" else 0
    return {
        Stage.COPY_IN: payload - pinned,
        Stage.PIN: pinned,
        Stage.DEFERRED_COPY: pinned + resent if pinned and not on_nic else 0,
        Stage.LINEARIZE: payload + resent if link == "nic --no-sg" else 0,
        Stage.BOUNCE: bounced,
        Stage.DMA: payload + resent - bounced if on_nic else None,
    }


def verdict_expected(mode: str, link: str) -> str:
    """The code of the verdict."""
    by_link = {"nic --no-sg": "copied-without-sg", "nic --bounce": "bounced"}
    if link in by_link:
        return by_link[link]
    if mode != "zerocopy":
        return "copied"
    return "zero-copy" if link == "nic" else "copied-by-loopback"


def problems_of(document: Document, mode: str, link: str) -> list[str]:
    """What is not as it must be; empty if all is."""
    ledger, observed = document.ledger, document.observed
    if observed is None or observed.payload_bytes != SIZE * MESSAGES:
        return ["payload not sent whole"]
    if observed.received_bytes != observed.payload_bytes:
        return [f"received {observed.received_bytes}"]
    wanted = expected(mode, link, ledger.retransmitted_bytes or 0)
    found = {stage: ledger.bytes_of(stage) for stage in wanted}
    wrong = [f"{stage}: {found[stage]} not {wanted[stage]}" for stage in wanted if found[stage] != wanted[stage]]
    wrong += [f"law {law.id} {law.left} != {law.right}" for law in ledger.laws if law.state is LawState.BROKEN]
    if document.verdict.code != verdict_expected(mode, link):
        wrong.append(f"verdict {document.verdict.code}")
    return wrong


def run(kernel: str, mode: str, link: str, observer: ObserverChoice = ObserverChoice.ALL) -> Cell:
    """One experiment, watched by both observers unless told otherwise."""
    fields = {"mode": mode, "size": SIZE, "messages": MESSAGES, "lab": kernel, **LINKS[link]}
    experiment = Experiment(observer=observer, **fields)  # type: ignore[arg-type]
    document = document_of(record(experiment, lambda _: None))
    if not document.complete:  # a signal goes to the guest, which answers with what it has
        raise Interrupted("interrupted", fix="run it again")
    return Cell(kernel, mode, link, document, problems_of(document, mode, link))


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
    parser.add_argument("--kernels", default=",".join(kernels.names()))
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
