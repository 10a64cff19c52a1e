"""The modes side by side at one size, and the winner, if there is one."""

from __future__ import annotations

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tracer.books.ledger import ledger_of
from tracer.model import CpuProfile, Stage
from tracer.reports.tables import make_table
from tracer.study.intervals import Interval, side_of_one
from tracer.study.measurements import CYCLES, DEMAND, LATENCY, QUANTITIES, THROUGHPUT, Quantity, Samples, stage_copies
from tracer.study.sweep_plan import Cell, Sweep
from tracer.units import format_ratio, format_size

EMULATED = "the CPU is emulated: times and CPU costs say nothing about a real one"
COMPARE_SCHEMA = "nettrace.compare/1"


class Contest(msgspec.Struct, frozen=True, kw_only=True):
    """Which mode is best by one quantity.

    Args:
        winner: None where no mode is better beyond noise.
        ratio: The best median over the next one's, paired by repetition.
    """

    quantity: str
    winner: str | None
    sentence: str
    ratio: Interval | None


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What nettrace compare prints.

    Args:
        copies: By mode: bytes of a stage by payload byte; a stage that nobody observed is not there.
        figures: By quantity and mode.
        sources: What counted each quantity.
        contests: Empty where the CPU is emulated.
        cpu: By mode: ns of CPU a payload byte, by stage; empty where nothing sampled.
    """

    schema: str
    title: str
    modes: list[str]
    copies: dict[str, dict[Stage, float]]
    figures: dict[str, dict[str, Interval | None]]
    sources: dict[str, str]
    cpu: dict[str, dict[str, float]]
    contests: list[Contest]
    trustworthy: bool
    notes: list[str]


def comparison_of(sweep: Sweep) -> Comparison:
    """From a sweep of one size and one number of threads."""
    plan, host = sweep.manifest.plan, sweep.manifest.host
    size, threads = plan.sizes[0], plan.threads[0]
    samples = {quantity.name: Samples(sweep.runs, quantity) for quantity in QUANTITIES}
    observed = {run.label: run.recording for run in sweep.runs if run.recording.observed}
    doubts = [f"{mode}: {doubt}" for mode, one in observed.items() for doubt in ledger_of(one).doubts]
    emulated = [EMULATED] if host.emulated else []
    return Comparison(
        schema=COMPARE_SCHEMA,
        title=f"{format_size(size)}, {threads} connection{'s' * (threads > 1)} over {plan.link}, {plan.repetitions} "
        f"repetitions in shuffled order, Linux {host.kernel}",
        modes=plan.modes,
        copies={mode: stage_copies(recording) for mode, recording in observed.items()},
        figures={
            name: {mode: one.interval(mode, size, threads) for mode in plan.modes} for name, one in samples.items()
        },
        sources={name: one.source for name, one in samples.items()},
        cpu={mode: _cpu_by_stage(recording.profile) for mode, recording in observed.items()},
        contests=[]
        if host.emulated
        else [
            _contest(samples[quantity.name], plan.modes, size, threads, highest)
            for quantity, highest in ((THROUGHPUT, True), (LATENCY, False), (_cost(samples), False))
        ],
        trustworthy=not doubts,
        notes=[*doubts, *emulated],
    )


def _cost(samples: dict[str, Samples]) -> Quantity:
    return CYCLES if samples[CYCLES.name].comparable else DEMAND


def _cpu_by_stage(profile: CpuProfile | None) -> dict[str, float]:
    if profile is None:
        return {}
    return {cost.stage: cost.ns_per_byte for cost in profile.stages if cost.ns_per_byte is not None}


def _contest(samples: Samples, modes: list[str], size: int, threads: int, highest: bool) -> Contest:
    """The best median against every other mode, one by one."""
    name = samples.quantity.name
    medians = [(found.median, mode) for mode in modes if (found := samples.interval(mode, size, threads))]
    if len(medians) < 2:
        return Contest(quantity=name, winner=None, sentence=f"{name}: nothing to compare", ratio=None)
    (_, best), *others = sorted(medians, reverse=highest)
    ratios = {mode: samples.ratio(Cell(best, size, threads), Cell(mode, size, threads)) for _, mode in others}
    better = 1 if highest else -1
    second = ratios[others[0][1]]
    wins = all(side_of_one(ratio) == better for ratio in ratios.values())
    return Contest(
        quantity=name, winner=best if wins else None, sentence=_sentence(name, best, ratios, better), ratio=second
    )


def _sentence(name: str, best: str, ratios: dict[str, Interval | None], better: int) -> str:
    name = name.replace("_", " ") + (" (less is better)" if better < 0 else "")
    sides = {mode: side_of_one(ratio) for mode, ratio in ratios.items()}
    if None in sides.values():
        unknown = next(ratio for mode, ratio in ratios.items() if sides[mode] is None)
        why = "different sources" if unknown is None else f"{unknown.repetitions} repetitions are too few to tell"
        return f"{name}: undecided, {why}"
    ahead = [f"{ratios[mode]}x of {mode}" for mode, side in sides.items() if side == better]
    alike = [f"{mode} ({ratios[mode]}x)" for mode, side in sides.items() if side != better]
    if not alike:
        return f"{name}: {best} wins, {', '.join(ahead)}"
    tie = f"{name}: no difference beyond noise between {best} and {' and '.join(alike)}"
    return f"{tie}; {best} has {', '.join(ahead)}" if ahead else tie


def encode_comparison(comparison: Comparison) -> str:
    """One JSON document."""
    return msgspec.json.format(msgspec.json.encode(comparison), indent=2).decode() + "\n"


def print_comparison(comparison: Comparison, console: Console) -> None:
    """One screen: who wins, then the evidence."""
    console.print(Text(comparison.title, style="dim"))
    console.print()
    for contest in comparison.contests:
        console.print(Text(contest.sentence, style="bold" if contest.winner else ""))
    if EMULATED in comparison.notes:
        console.print(Text("no winner is named: only copies are compared here"))
    console.print()
    table = make_table(console, "figure", *comparison.modes, "source", right=tuple(comparison.modes))
    for quantity in QUANTITIES:
        intervals = comparison.figures[quantity.name]
        cells = ["n/a" if (found := intervals[mode]) is None else found.compact() for mode in comparison.modes]
        table.add_row(quantity.short, *cells, comparison.sources[quantity.name])
    _add_stages(table, comparison)
    console.print(table)
    for text in comparison.notes:
        console.print(Text(f"note: {text}"))


def _add_stages(table: Table, comparison: Comparison) -> None:
    seen = [stage for stage in Stage if any(stage in copies for copies in comparison.copies.values())]
    for stage in seen:
        shares = [comparison.copies.get(mode, {}).get(stage) for mode in comparison.modes]
        table.add_row(f"{stage.replace('_', ' ')}, x payload", *map(format_ratio, shares), "observed pass")
    sampled = dict.fromkeys(stage for costs in comparison.cpu.values() for stage in costs)
    for name in sampled:
        # A mode that was sampled, and never in this stage, spent too little there to be seen.
        sampled_modes = [comparison.cpu.get(mode) for mode in comparison.modes]
        costs = [found.get(name, 0.0) if found else None for found in sampled_modes]
        cells = ["n/a" if cost is None else f"{cost:.3f}" for cost in costs]
        table.add_row(f"CPU: {name.replace('_', ' ')}, ns/B", *cells, "sampled stacks")
