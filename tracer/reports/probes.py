"""The table of `nettrace probes`: one row a probe point, with how it would be attached on this kernel."""

from __future__ import annotations

import msgspec
from rich.text import Text

from tracer.books.facts import PlannedProbe, State
from tracer.reports.stage_styles import STATE_COLOURS
from tracer.reports.tables import PIPE_WIDTH, make_table, make_text_console, paragraph

PROBES_SCHEMA = "nettrace.probes/1"


def probes_text(probes: list[PlannedProbe], colour: bool, width: int = PIPE_WIDTH) -> str:
    """The table, 100 columns wide at most, and a line that sums it up."""
    console = make_text_console(colour, width)
    table = make_table(console, "kernel function", "at", "stage", "here by", "counts; why")
    # Most rows that cannot be attached share a reason: it is said once, below.
    reasons = list(dict.fromkeys(probe.reason for probe in probes if probe.way is None))
    for probe in probes:
        table.add_row(
            probe.symbol,
            probe.at,
            (probe.stage or "").replace("_", " "),
            Text(probe.way or f"- ({reasons.index(probe.reason) + 1})", style=STATE_COLOURS[probe.state]),
            "; ".join(filter(None, (probe.counts, probe.why))),
        )
    with console.capture() as captured:
        console.print(table)
        for number, reason in enumerate(reasons, 1):
            console.print(paragraph(f"({number}) {reason}", console, "    "))
        console.print(paragraph(_summary(probes), console, style="bold"))
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"


def _summary(probes: list[PlannedProbe]) -> str:
    attached = sum(probe.state is State.OK for probe in probes)
    unknown = sum(probe.state is State.UNKNOWN for probe in probes)
    hidden = f"; {unknown} unknown to this user: run it as root" if unknown else ""
    return f"{attached} of {len(probes)} probe points can be attached on this kernel{hidden}."


def probes_json(probes: list[PlannedProbe]) -> str:
    """The same as one JSON document."""
    document = {"schema": PROBES_SCHEMA, "probes": probes}
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()
