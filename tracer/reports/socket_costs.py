"""What a program's traffic cost the CPU, and what watching it did."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from tracer.books.quantities import MIN_SAMPLES
from tracer.books.stage_table import Work
from tracer.model import StageCost
from tracer.model.socket_recording import SocketRecording
from tracer.reports.costs import LABELS, NAMED, number
from tracer.reports.tables import make_table
from tracer.texts import counted
from tracer.units import format_count

LABELS_OF_PROGRAMS = LABELS | {Work.OTHER_USER.value: "user mode"}


def profile_table(recording: SocketRecording, console: Console) -> Table:
    """CPU time by stage; empty where nobody sampled."""
    columns = ("CPU", "ns/byte", "samples")
    table = make_table(console, "CPU by stage, while watched", *columns, "in", right=columns)
    if recording.profile is None or recording.profile.samples < MIN_SAMPLES:
        return table
    for cost in recording.profile.stages:
        label = LABELS_OF_PROGRAMS.get(cost.stage, cost.stage.replace("_", " "))
        table.add_row(label, f"{cost.share:.1%}", number(cost.ns_per_byte), format_count(cost.samples), _where(cost))
    return table


def too_few_samples(recording: SocketRecording) -> str:
    """Why there is no table although somebody sampled; empty where there is one."""
    if recording.profile is None or recording.profile.samples >= MIN_SAMPLES:
        return ""
    seen = counted(recording.profile.samples, "sample")
    return f"CPU by stage: n/a, {seen} of CMD's CPU time, and under {MIN_SAMPLES} no share is known: let it do more"


def _where(cost: StageCost) -> str:
    return "" if cost.stage == Work.OTHER_USER else ", ".join(list(cost.functions)[:NAMED])


def watching(recording: SocketRecording) -> str:
    """What nettrace's own programs took, said as what it is: counted for a part of the time."""
    cost = recording.hooks.cost
    if cost is None:
        return "watching: CPU time of nettrace's programs n/a: BPF_ENABLE_STATS, which counts it, needs CAP_SYS_ADMIN"
    if cost.cpus is None or not cost.runs:
        span = f"{cost.counted_s:.2g} s"
        return f"watching: CPU time of nettrace's programs n/a: none of them ran in the {span} that were counted"
    each = f"{cost.spent_ns / cost.runs:,.0f} ns each, {cost.cpus:.1%} of a CPU"
    return f"watching: {cost.runs:,} runs of nettrace's programs, {each}, in {cost.counted_s:.2g} s that were counted"
