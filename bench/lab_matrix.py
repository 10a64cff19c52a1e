"""Runs the experiments that show where a byte is copied, on every lab kernel, and checks each count to the byte.

It prints the tables in Markdown; `make lab-matrix` puts them into docs/matrix.md, between the markers
<!-- lab-matrix --> and <!-- /lab-matrix -->. It exits with 1 if anything is off.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bench.matrix_cells import LINKS, MESSAGES, SECTIONS, TEN, WAYS, size_of
from bench.matrix_oracle import AT_THE_READER, SENT, bytes_in, case_of, problems_of
from tracer.books.analysis import document_of
from tracer.books.drops import dropped_by_sender
from tracer.books.ledger import SEND_COPIES
from tracer.books.modes import NAMES
from tracer.books.recording import decode, encode
from tracer.errors import EXIT_INTERRUPTED, Interrupted, NettraceError
from tracer.lab import kernels
from tracer.model import Document, Experiment, ObserverChoice, Recording, Stage
from tracer.runs.in_lab import record

README = Path(__file__).resolve().parent.parent / "README.md"
PAGE = README.parent / "docs" / "matrix.md"
_MOST_GUESTS = 3
BEGIN, END = "<!-- lab-matrix -->", "<!-- /lab-matrix -->"


class Asked(NamedTuple):
    """One run to do."""

    section: str
    kernel: str
    mode: str
    link: str


@dataclass(frozen=True)
class Cell:
    """One run: what it was, what came out, and what is wrong with it; no document where it could not be done."""

    asked: Asked
    document: Document | None
    problems: list[str]

    def figures(self) -> dict[str, str]:
        """The columns of its row, but for its kernel."""
        document = self.document
        if document is None:
            return {}
        observed = document.observed
        payload = observed.payload_bytes if observed else 0
        done = observed.completions if observed else None
        stages = {str(stage): _times(bytes_in(document, stage), payload) for stage in (*SENT, *AT_THE_READER)}
        return stages | {
            "sent again, B": _or_unknown(document.ledger.retransmitted_bytes),
            "dropped, B": _or_unknown(_dropped(document)),
            "flagged copied": f"{done.copied} of {done.total}" if done else "-",
        }

    def __str__(self) -> str:
        figures = ", ".join(f"{name} {text}" for name, text in self.figures().items() if text not in _NOTHING)
        return f"{' '.join(self.asked[1:])}: {self.result()}: {figures}"

    def result(self) -> str:
        """The verdict, or what is wrong."""
        return "; ".join(self.problems) or (self.document.verdict.code if self.document else "")


# Columns that hold nothing else are left out.
_NOTHING = ("0", "n/a", "-")


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
    whole = not count % payload if payload else False
    return "0" if not count else f"{count // payload}x" if whole else f"{count:,} B"


def run(kernel: str, mode: str, link: str, observer: ObserverChoice = ObserverChoice.ALL) -> Cell:
    """One experiment, watched by both observers unless told otherwise."""
    asked = Asked("", kernel, mode, link)
    return judged(asked, measured(asked, observer))


def measured(asked: Asked, observer: ObserverChoice) -> Recording:
    """In a guest of its own: one that stays must first wait for the last run's probes to go, which takes longer."""
    way = WAYS[asked.link]
    experiment = Experiment(
        mode=asked.mode, size=size_of(asked.mode, asked.link), messages=MESSAGES, lab=asked.kernel, link=way.link,
        observer=observer, setup=(way.setup,) if way.setup else (), **way.fields,  # type: ignore[arg-type]
    )  # fmt: skip
    recording = record(experiment, lambda _: None)
    if not recording.complete:  # a signal goes to the guest, which answers with what it has
        raise Interrupted("interrupted", fix="run it again")
    return recording


def unlost(asked: Asked, observer: ObserverChoice) -> Recording:
    """Again in another guest where events were lost in each of its attempts, which nettrace itself calls untrustworthy.

    A kernel that preempts its own code passes programs over (7.2); over UDP in every other attempt.
    """
    for _ in range(_MOST_GUESTS):
        recording = measured(asked, observer)
        if not any(seen.lost for seen in recording.observations):
            break
    return recording


def judged(asked: Asked, recording: Recording) -> Cell:
    """What it counted, beside what the oracle demands."""
    document = document_of(recording)
    return Cell(asked, document, problems_of(document, *asked[1:]))


def kept(asked: Asked, observer: ObserverChoice, directory: Path | None) -> Recording:
    """One that an earlier call has kept, or a new one."""
    file = directory / f"{' '.join(asked[1:])}.json" if directory else None
    if file and file.exists():
        return decode(file.read_bytes(), file.name)
    recording = unlost(asked, observer)
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(encode(recording))
    return recording


def attempt(asked: Asked, observer: ObserverChoice, directory: Path | None) -> Cell:
    """One that may fail to be done."""
    try:
        return judged(asked, kept(asked, observer, directory))
    except Interrupted:
        raise
    except NettraceError as error:
        return Cell(asked, None, [str(error)])


def cells(kernels: list[str], links: list[str], modes: list[str]) -> Iterator[Asked]:
    """All runs that are asked for. Links in the outer loop: --bounce needs another boot."""
    for kernel in kernels:
        for section in SECTIONS:
            for link in section.ways:
                for mode in section.modes:
                    if link in links and mode in modes:
                        yield Asked(section.title, kernel, mode, link)


def tables(done: Iterable[Cell]) -> str:
    """A Markdown table for each section."""
    sections: dict[str, list[Cell]] = {}
    for cell in done:
        sections.setdefault(cell.asked.section, []).append(cell)
    return "\n".join(f"## {title}\n\n{table(found)}" for title, found in sections.items())


def table(done: list[Cell]) -> str:
    """Runs that came out alike on several kernels share a row; a column in which nothing stands is left out."""
    names = [name for name in done[0].figures() if any(cell.figures()[name] not in _NOTHING for cell in done)]
    kernels: dict[tuple[str, ...], list[str]] = {}
    for cell in done:
        figures = cell.figures()
        row = (cell.asked.mode, cell.asked.link, *(figures[name] for name in names), cell.result())
        kernels.setdefault(row, []).append(cell.asked.kernel)
    head = ["kernels", "mode", "link", *(name.replace("_", " ") for name in names), "verdict"]
    order = list(dict.fromkeys(row[:2] for row in kernels))
    rows = sorted(((", ".join(found), *row) for row, found in kernels.items()), key=lambda row: order.index(row[1:3]))
    return "\n".join([_line(head), "|" + "---|" * len(head), *map(_line, rows)]) + "\n"


def _line(words: Iterable[str]) -> str:
    return f"| {' | '.join(words)} |"


def ten_rows() -> str:
    """Kernel copies of a byte on the sending side, as the oracle foretells them, which all runs have borne out."""
    rows = [(f"`{mode}`", *(_sent_copies(mode, link) for link in LINKS)) for mode in TEN]
    return "\n".join([_line(["mode", *LINKS]), "|" + "---|" * (len(LINKS) + 1), *map(_line, rows)]) + "\n"


def _sent_copies(mode: str, link: str) -> str:
    copies = case_of(kernels.default(), mode, link).copies()
    return f"{sum(copies[stage] for stage in SEND_COPIES):.3g}"


def publish(page: Path, text: str) -> None:
    """Put it between the page's markers."""
    before, _, rest = page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n{text}{END}{after}")


def arguments() -> argparse.Namespace:
    """What is to be done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kernels", default=",".join(kernels.names()))
    parser.add_argument("--links", default=",".join(WAYS), help="those of the matrix that go by these ways")
    parser.add_argument("--modes", default=",".join(NAMES), help="those of the matrix in these modes")
    parser.add_argument("--observer", default="all", choices=["all", "functions"])
    parser.add_argument("--jobs", type=int, default=2, help="guests at a time; each takes a core and 400 MB")
    parser.add_argument("--keep", type=Path, help="where the recordings go; what is there is not done again")
    parser.add_argument("--publish", action="store_true", help=f"put the tables into docs/{PAGE.name}")
    return parser.parse_args()


def main() -> int:
    """0 if every count is right."""
    given = arguments()
    asked = list(cells(given.kernels.split(","), given.links.split(","), given.modes.split(",")))
    found = []
    with ThreadPoolExecutor(given.jobs) as guests:
        for cell in guests.map(lambda one: attempt(one, ObserverChoice(given.observer), given.keep), asked):
            found.append(cell)
            print(f"{len(found)}/{len(asked)} {cell}", file=sys.stderr, flush=True)
    failures = [str(cell) for cell in found if cell.problems]
    if given.publish and not failures:
        publish(PAGE, tables(found))
        publish(README, ten_rows())
    else:
        print(tables([cell for cell in found if cell.document]), end="")
    print("\n".join(failures) or f"all {len(found)} runs are right to the byte", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (Interrupted, KeyboardInterrupt):
        sys.exit(EXIT_INTERRUPTED)
