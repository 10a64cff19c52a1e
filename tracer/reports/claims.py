"""The verdicts on the claims: on the screen, as JSON, as Markdown."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tracer.reports.tables import make_table, paragraph
from tracer.study.claim_rules.findings import Case, Outcome, Ruling

CLAIMS_SCHEMA = "nettrace.claims/1"
_STYLES = {
    Outcome.CONFIRMED: "green",
    Outcome.REFUTED: "red",
    Outcome.DEPENDS: "cyan",
    Outcome.UNDECIDED: "yellow",
}
# Of the cases of one claim on the screen; --json has all.
_SHOWN = 4


def encode_claims(rulings: list[Ruling], notes: list[str]) -> str:
    """One JSON document with every case."""
    document = {"schema": CLAIMS_SCHEMA, "claims": rulings, "notes": notes}
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def print_claims(rulings: list[Ruling], notes: list[str], console: Console) -> None:
    """Verdicts first; then, for each, what decided and the figures."""
    console.print(paragraph(count(rulings), console, style="bold"))
    console.print()
    console.print(claims_table(rulings, console))
    for ruling in rulings:
        console.print()
        head = f"{ruling.id} {ruling.outcome}: {ruling.claim}"
        console.print(paragraph(head, console, "  ", _STYLES[ruling.outcome]))
        console.print(paragraph(f"  rule: {ruling.rule}", console, "    "))
        for line in told_repeats(ruling):
            console.print(paragraph(f"  {line}", console, "    "))
        for line in told_cases(ruling.cases):
            console.print(paragraph(f"  {line}", console, "    "))
    for text in notes:
        console.print(paragraph(f"note: {text}", console, "      ", "dim"))


def claims_table(rulings: list[Ruling], console: Console) -> Table:
    """A row a claim."""
    table = make_table(console, "claim", "verdict", "why")
    for ruling in rulings:
        table.add_row(ruling.id, Text(ruling.outcome, style=_STYLES[ruling.outcome]), ruling.sentence)
    return table


def count(rulings: list[Ruling]) -> str:
    """How many claims came out how."""
    outcomes = Counter(ruling.outcome for ruling in rulings)
    counted = f"{len(rulings)} claims: " + ", ".join(f"{outcomes[one]} {one}" for one in Outcome if outcomes[one])
    sweeps = max((len(ruling.repeats) for ruling in rulings), default=0)
    if sweeps < 2:
        return counted
    stood = sum(len(set(ruling.repeats)) == 1 for ruling in rulings)
    return f"{counted}; {stood} came out alike in {sweeps} sweeps"


def told_repeats(ruling: Ruling) -> list[str]:
    """How each sweep came out, where there were several."""
    return [f"by sweep: {', '.join(ruling.repeats)}"] if ruling.repeats else []


def told_cases(cases: list[Case]) -> list[str]:
    """The first cases of each kind, and how many more there are."""
    kinds = {True: "holds", False: "does not hold", None: "unclear"}
    lines = []
    for kind, word in kinds.items():
        alike = [case for case in cases if case.holds is kind]
        limit = _SHOWN if len({case.holds for case in cases}) == 1 else _SHOWN // 2
        lines += [f"{word}: {told_place(case)}: {case.text}" for case in alike[:limit]]
        if len(alike) > limit:
            lines.append(f"{word}: {len(alike) - limit} more")
    return lines


def told_place(case: Case) -> str:
    """Where a case was observed; scatter-gather and the bounce buffer only where they are out of the ordinary."""
    ordinary = {"scatter-gather": True, "bounce buffer": False}
    parts = [
        f"{name} {'on' if value is True else 'off' if value is False else value}"
        for name, value in case.where.items()
        if name not in ordinary or value is not ordinary[name]
    ]
    return ", ".join(parts)


def write_markdown(rulings: list[Ruling], notes: list[str], pictures: list[Path], path: Path) -> str:
    """The report as Markdown; pictures are linked relative to its place."""
    lines = ["# The claims of the source study, and of the field, settled", "", f"{count(rulings)}.", ""]
    lines += ["| claim | | verdict | why |", "|---|---|---|---|"]
    lines += [f"| {one.id} | {_cell(one.claim)} | **{one.outcome}** | {_cell(one.sentence)} |" for one in rulings]
    for picture in pictures:
        if picture.suffix == ".svg":
            link = os.path.relpath(picture, path.parent).replace(os.sep, "/").replace(" ", "%20")
            lines += ["", f"![{picture.stem.replace('-', ' ')}]({link})"]
    for one in rulings:
        lines += [
            "",
            f"## {one.id}: {one.outcome}",
            "",
            f"{one.claim}.",
            "",
            f"{one.sentence}",
            "",
            f"Rule: {one.rule}.",
            "",
        ]
        lines += [f"- {line}" for line in [*told_repeats(one), *told_cases(one.cases)]]
    if notes:
        lines += ["", "## Notes", "", *(f"- {text}" for text in notes)]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
