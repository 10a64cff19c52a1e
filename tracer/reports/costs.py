"""What the payload cost the CPU: counters by scope, and CPU time by stage beside the ledger's bytes."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from tracer.books.analysis import time_ratio
from tracer.books.costs import Costs, costs_of
from tracer.books.quantities import MIN_SAMPLES
from tracer.books.stage_table import Work
from tracer.model import CpuProfile, Document, Ledger, Stage, StageCost, Workload
from tracer.reports.tables import make_table
from tracer.units import format_count, format_ratio

LABELS = {Work.TCP_IP.value: "TCP/IP", Work.MEMORY.value: "skb and memory"}
# Functions named in a row; the rest of a stage is in the recording.
NAMED = 3
# A function below this share of its stage is not worth a name.
_WORTH_NAMING = 0.1


def cost_tables(document: Document, console: Console) -> list[Table]:
    """The tables that this recording has figures for."""
    tables = []
    if document.counters and document.workload is not None:
        tables += [_costs_table(document, console), _counters_table(document, console)]
    if document.profile is not None and document.profile.samples:
        tables.append(_profile_table(document, document.profile, console))
    return tables


def folded_text(profile: CpuProfile) -> str:
    """The profile's stacks in the format of flame-graph programs: a stack and its samples a line."""
    return "".join(f"{stack} {samples}\n" for stack, samples in profile.folded.items())


def number(value: float | None, digits: int = 3) -> str:
    """A figure with so many decimals; n/a of what nobody counted."""
    return "n/a" if value is None else f"{value:,.{digits}f}"


def _costs_table(document: Document, console: Console) -> Table:
    columns = ("cycles per byte", "CPU, µs/KiB", "switches/s", "misses/KiB", "copies/byte")
    table = make_table(console, "cost of a byte", *columns, "counted by", right=columns)
    copies = document.ledger.copies_per_byte
    of_scope = {"sender": copies.send, "receiver": copies.receive}
    for costs in costs_of(document):
        table.add_row(
            costs.scope,
            number(costs.cycles_per_byte),
            number(costs.demand),
            number(costs.switches_per_s, 0),
            number(costs.misses_per_kib),
            format_ratio(of_scope[costs.scope]) if costs.scope in of_scope else "",
            _sources(costs),
        )
    return table


def _sources(costs: Costs) -> str:
    cycles = {"tsc": "TSC x CPU time", "perf": "perf"}.get(costs.cycles_source, "no cycles")
    clock = {"perf": "perf's task-clock", "none": "n/a"}.get(costs.demand_source, costs.demand_source)
    return f"{cycles}; CPU: {clock}; {costs.misses_event or 'no misses'}"


def _counters_table(document: Document, console: Console) -> Table:
    """One row an event, one column a scope; events that nobody counted share the last row."""
    scopes = list(dict.fromkeys(counter.scope for counter in document.counters))
    table = make_table(console, "counter, bare pass", *scopes, "remark", right=tuple(scopes))
    absent: dict[str, list[str]] = {}
    for event in dict.fromkeys(counter.event for counter in document.counters):
        found = {counter.scope: counter for counter in document.counters if counter.event == event}
        notes = dict.fromkeys(
            f"{counter.source}: {counter.note}" if counter.source not in ("perf", "none") else counter.note
            for counter in found.values()
            if counter.note
        )
        if all(counter.value is None for counter in found.values()):
            absent.setdefault("; ".join(notes), []).append(event)
            continue
        values = [found[scope].value if scope in found else None for scope in scopes]
        unit = ", ns" if event == "task-clock" else ""
        shown = [format_count(None if value is None else round(value)) for value in values]
        table.add_row(event + unit, *shown, "; ".join(notes))
    for note, events in absent.items():
        table.add_row("n/a", *[""] * len(scopes), f"{', '.join(events)}: {note}")
    return table


def _profile_table(document: Document, profile: CpuProfile, console: Console) -> Table:
    columns = ("CPU", "ns/byte", "bytes", "samples")
    title = f"CPU by stage, {profile.event}"
    table = make_table(console, title, *columns, "in", right=columns)
    is_known = profile.samples >= MIN_SAMPLES
    for cost in profile.stages:
        table.add_row(
            LABELS.get(cost.stage, cost.stage.replace("_", " ")),
            f"{cost.share:.1%}" if is_known else "n/a",
            number(cost.ns_per_byte if is_known else None),
            _bytes_of(cost, document.ledger, document.observed),
            format_count(cost.samples),
            _functions(cost),
        )
    has_rate = is_known and profile.payload_bytes
    whole = profile.samples * profile.period_ns / profile.payload_bytes if has_rate else None
    table.add_row(
        "all",
        "100 %" if is_known else "n/a",
        number(whole),
        "",
        format_count(profile.samples),
        _pass_remark(document, profile),
    )
    return table


def _bytes_of(cost: StageCost, ledger: Ledger, observed: Workload | None) -> str:
    """The ledger's bytes of the same stage, where the ledger has it."""
    if cost.stage == Work.USER_PACK:
        return format_count(observed.packed_bytes) if observed else "n/a"
    if cost.stage not in set(Stage) or ledger.entry(Stage(cost.stage)) is None:
        return ""
    return format_count(ledger.bytes_of(Stage(cost.stage)))


def _functions(cost: StageCost) -> str:
    named = [name for name, samples in cost.functions.items() if samples >= _WORTH_NAMING * cost.samples][:NAMED]
    return ", ".join(named or list(cost.functions)[:1])


def _pass_remark(document: Document, profile: CpuProfile) -> str:
    bare = document.workload
    elsewhere = f"{profile.elsewhere} in another process's context"
    ratio = time_ratio(profile.elapsed_s, profile.payload_bytes, bare) if bare else None
    return f"{elsewhere}; sampled / bare time {ratio:.2f}x" if ratio else elsewhere
