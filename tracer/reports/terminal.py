"""The first screen: the answer in one sentence, and under it the evidence. Tables by rich, plain when piped."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tracer.books.advice import settings_of
from tracer.books.causes import row_of
from tracer.books.mechanics import mechanics_of, packet_text
from tracer.books.modes import known
from tracer.books.quantities import DEMAND
from tracer.books.receiving import mapped_text
from tracer.model import CpuTime, Document, Entry, Experiment, Law, LawState, Recording, Stage, Workload
from tracer.reports.costs import cost_tables
from tracer.reports.picture import draw_path
from tracer.reports.stacks import stack_lines
from tracer.reports.stage_styles import style_of
from tracer.reports.tables import make_table, paragraph, trimmed
from tracer.texts import counted
from tracer.units import format_count, format_ns, format_rate, format_ratio, format_size, percent

_LAW_STYLE = {LawState.HOLDS: "green", LawState.BROKEN: "bold red", LawState.UNKNOWN: "yellow"}


# What stands behind every row that no function probe saw.
_INFERRED = "inferred from what the packets are made of at each place"
# The function that makes a whole packet linear, and pulls in a few bytes of one beside its headers.
_PULL = "__pskb_pull_tail"
# From this width on a cause and how it is known stand in one line.
_WIDE = 100


def print_document(document: Document, console: Console) -> None:
    """The whole report of one recording.

    Raises:
        OSError: nobody reads it any more, or the disk is full.
    """
    with trimmed(console):
        _print_parts(document, console)


def _print_parts(document: Document, console: Console) -> None:
    console.print(paragraph(title_of(document), console, style="dim"))
    console.print()
    console.print(paragraph(document.verdict.sentence, console, style="bold"))
    if document.stuck:
        console.print(paragraph(f"  stuck: {document.stuck}", console, "         "))
    for suggestion in document.verdict.next:
        console.print(paragraph(f"  next: {suggestion}", console, "        "))
    if document.ledger.entries:
        console.print()
        console.print(ledger_table(document, console))
        if how := how_seen(document):
            console.print(paragraph(how, console, style="dim"))
        console.print()
        for line in draw_path(document):
            console.print(paragraph(line, console, "     │    ", shorten=True))
        for line in stack_lines(document):
            console.print(paragraph(line, console, "      ", shorten=True))
    console.print()
    console.print(figures_table(document, console))
    for table in cost_tables(document, console):
        console.print()
        console.print(table)
    if document.ledger.laws:
        console.print()
        console.print(laws_table(document.ledger.laws, console))
    for note in document.notes:
        console.print(paragraph(f"note: {note}", console, "      ", "dim"))


def how_seen(document: Document) -> str:
    """What stands behind the ledger's rows; empty where functions themselves were seen."""
    if not any(entry.source.startswith("cgroup:") for entry in document.ledger.entries):
        return ""
    return _INFERRED + ("; --lab sees the functions themselves run" if document.host.where == "host" else "")


def title_of(document: Recording) -> str:
    """What was done, where; PARTIAL first, if it is that."""
    experiment, host = document.experiment, document.host
    work = counted(experiment.messages, "message") if experiment.messages else f"{experiment.duration_s or 0:g} s"
    where = f"lab, emulated {host.cpu}" if host.emulated else host.where
    control = f", {experiment.congestion or host.congestion_control}" if host.congestion_control else ""
    sent = known(experiment.mode)
    if sent is not None and sent.is_datagrams:
        control = ""
    connections = counted(experiment.threads, "connection")
    title = (
        f"{experiment.mode}, {format_size(experiment.size)} x {work} x {connections} over {experiment.link}, "
        f"Linux {host.kernel} ({where}){control}{_settings(experiment)}"
    )
    if document.complete:
        return title
    return f"PARTIAL ({'given up' if document.stuck else 'interrupted'}): {title}"


def _settings(experiment: Experiment) -> str:
    """What was set, as one would type it; but for the congestion control, which stands there anyhow."""
    words = [word for word in settings_of(experiment) if not word.startswith("--congestion")]
    return f", {' '.join(words)}" if words else ""


def ledger_table(document: Document, console: Console) -> Table:
    """One row a place where bytes are copied, or where a copy is avoided."""
    numbers = ("bytes", "per byte", "events", "pages")
    table = make_table(console, "stage", "where in the kernel", *numbers, "seen by", right=numbers)
    for entry in document.ledger.entries:
        table.add_row(
            entry.stage.replace("_", " "),
            _place_and_cause(entry, console.width),
            format_count(entry.bytes),
            format_ratio(entry.per_payload_byte),
            format_count(entry.events) if entry.events is not None else "",
            format_count(entry.pages) if entry.pages is not None else "",
            _seen_by(entry),
            style=style_of(entry),
        )
    return table


def _place_and_cause(entry: Entry, width: int) -> str:
    """The function, and below it why it had to run, or why the kernel dropped the bytes there."""
    if entry.cause is None:
        return f"{entry.function}\n  {_told_below(entry)}".rstrip()
    joint = ", " if width >= _WIDE else "\n  "
    inferred = f"{joint}inferred" if entry.cause_inferred_from else ""
    return f"{entry.function}\n  {row_of(entry.cause).name}{inferred}"


def _told_below(entry: Entry) -> str:
    """Why the kernel dropped the bytes there; of which packets this is, where a driver has pulled in of others."""
    is_told_apart = entry.function == _PULL and entry.source
    return entry.note if entry.stage is Stage.DROPPED or is_told_apart else ""


def _seen_by(entry: Entry) -> str:
    """The probe point, without the kind of probe if it is a tracepoint: the names say that."""
    way, _, place = entry.source.partition(":")
    seen_by = way if place == entry.function else entry.source
    return seen_by.removeprefix("tracepoint:") or entry.note


def figures_table(document: Document, console: Console) -> Table:
    """What was measured besides, and in which pass."""
    table = make_table(console, "figure", "value", "scope")
    if document.observed is not None:
        _add_observed_figures(table, document, document.observed)
    if document.workload is not None:
        _add_bare_figures(table, document.workload)
    table.add_row("overhead of watching", overhead_text(document.overhead.observed_over_bare), "observed / bare")
    return table


def overhead_text(ratio: float | None) -> str:
    """What watching cost, of two passes, one each: watching makes nothing faster."""
    if ratio is None:
        return "n/a"
    return f"{ratio:.2f}x" if round(ratio, 2) >= 1 else f"{ratio:.2f}x (below 1: within the noise of two passes)"


def _add_observed_figures(table: Table, document: Document, observed: Workload) -> None:
    copies = document.ledger.copies_per_byte
    apart = f" (and {pulled:,} B by the driver)" if (pulled := document.ledger.pulled_bytes) else ""
    sides = f"send {format_ratio(copies.send)}{apart}, receive {format_ratio(copies.receive)}"
    table.add_row("kernel copies per payload byte", sides, "observed pass")
    table.add_row("payload", f"{format_count(observed.payload_bytes)} B", "observed pass")
    table.add_row("retransmitted", f"{format_count(document.ledger.retransmitted_bytes)} B", "observed pass")
    if mapped := mapped_text(observed):
        table.add_row("TCP_ZEROCOPY_RECEIVE", mapped, "observed pass")
    mechanics = mechanics_of(document)
    if packet := packet_text(mechanics):
        table.add_row("a packet (skb)", packet, "observed pass")
    if observed.acks is not None and mechanics.acks_per_packet is not None:
        text = f"{observed.acks:,}, {mechanics.acks_per_packet:.2g} a packet"
        table.add_row("ACKs to the sender", text, "observed pass")
    done = observed.completions
    if done is not None:
        text = f"{counted(done.total, 'send')}: {done.copied:,} copied, {done.zerocopy:,} zero-copy; in "
        text += counted(done.ranges, "range")
        table.add_row("completions (the kernel's flag)", text, "observed pass")


def _add_bare_figures(table: Table, bare: Workload) -> None:
    table.add_row("throughput", format_rate(bare.throughput_bytes_per_s), "bare pass")
    latency = bare.latency_ns
    if latency is not None:
        percentiles = (("p50", latency.p50), ("p90", latency.p90), ("p99", latency.p99), ("max", latency.max))
        text = ", ".join(f"{name} {format_ns(value)}" for name, value in percentiles)
        table.add_row("time per message, sender", text, "bare pass")
    table.add_row("CPU time, sender", cpu_text(bare.sender_cpu_ns, bare), "bare pass")
    if bare.receiver_cpu_ns is not None:
        table.add_row("CPU time, receiver", cpu_text(bare.receiver_cpu_ns, bare), "bare pass")
    if bare.enobufs:
        limit = bare.enobufs_limit or "unknown limit"
        table.add_row("ENOBUFS, reaped and repeated", f"{bare.enobufs:,} ({limit})", "bare pass")
    if bare.enomem:
        table.add_row("ENOMEM, reaped and repeated", f"{bare.enomem:,} (memlock)", "bare pass")
    if bare.verified:
        table.add_row("payload verified", "every byte", "both passes")


def cpu_text(cpu: CpuTime, workload: Workload) -> str:
    """CPU time with the service demand: µs of CPU for each KiB of payload."""
    spent = cpu.spent
    if spent is None:
        return "n/a"
    in_kernel = percent(cpu.system, spent) if cpu.system is not None else "n/a"
    return f"{format_ns(spent)} ({in_kernel} in the kernel){_demand_text(spent, workload)}"


def spent_text(cpu: CpuTime, workload: Workload) -> str:
    """The same without the kernel's share."""
    return "n/a" if cpu.spent is None else f"{format_ns(cpu.spent)}{_demand_text(cpu.spent, workload)}"


def _demand_text(spent_ns: float, workload: Workload) -> str:
    over = DEMAND.over(spent_ns, workload.payload_bytes)
    return "" if over is None else f", {over:.3f} µs/KiB"


def laws_table(laws: list[Law], console: Console) -> Table:
    """The laws with both sides."""
    table = make_table(console, "law", "state", "left", "right", "statement", right=("left", "right"))
    for law in laws:
        table.add_row(
            law.id,
            Text(law.state.upper(), style=_LAW_STYLE[law.state]),
            format_count(law.left),
            format_count(law.right),
            law.statement + (f" ({law.note})" if law.note else ""),
        )
    return table
