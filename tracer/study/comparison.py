"""The modes side by side at one size, and the winner, if there is one. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from tracer.books.advice import settings_of
from tracer.books.ledger import ledger_of
from tracer.books.mechanics import Mechanics, mechanics_of
from tracer.books.quantities import MIN_SAMPLES
from tracer.model import CpuProfile, Recording, Stage
from tracer.study.intervals import Interval, repetitions_for, side_of_one
from tracer.study.measurements import (
    CYCLES,
    DEMAND,
    LATENCY,
    QUANTITIES,
    THROUGHPUT,
    Family,
    Quantity,
    Samples,
    profile_of,
    stage_copies,
)
from tracer.study.sweep_plan import Cell, Sweep
from tracer.study.why import why_dearer
from tracer.texts import counted
from tracer.units import format_size

EMULATED = "the CPU is emulated: times and CPU costs say nothing about a real one"
COMPARE_SCHEMA = "nettrace.compare/1"
# From so many modes on, each has a row of its own, and a sentence names the next best alone.
MANY = 5
# What the words of sweeps and netperf mean, for a sentence.
_SPOKEN = {LATENCY.name: "time per message", DEMAND.name: "CPU time per KiB"}


class Contest(msgspec.Struct, frozen=True, kw_only=True):
    """Which mode is best by one quantity.

    Args:
        winner: None where no mode is better beyond noise.
        ratio: The best median over the next one's, paired by repetition.
        best: The mode with the best median, whether it wins or not; empty where there was nothing to compare.
        behind: Modes that are clearly behind it: its figure over theirs.
    """

    quantity: str
    winner: str | None
    sentence: str
    ratio: Interval | None
    best: str = ""
    behind: dict[str, Interval | None] = {}


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What nettrace compare prints.

    Args:
        copies: By mode: bytes of a stage by payload byte; a stage that nobody observed is not there.
        figures: By quantity and mode.
        sources: What counted each quantity.
        contests: Empty where the CPU is emulated.
        cpu: By mode: ns of CPU a payload byte, by stage; empty where nothing sampled.
        sent_copies: By mode: copies of a payload byte in the kernel on the sending side; None where one is not known.
        mechanics: By mode: packets, fragments, completions.
        absent: Modes that cannot be done here, with the reason.
        why: A sentence for each mode that costs clearly more than the cheapest: the largest cause, with its figure.
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
    sent_copies: dict[str, float | None] = {}
    mechanics: dict[str, Mechanics] = {}
    why: list[str] = []
    absent: dict[str, str] = {}


def comparison_of(sweep: Sweep, absent: Mapping[str, str] | None = None) -> Comparison:
    """From a sweep of one size and one number of threads.

    Args:
        absent: Modes that could not be done, and why.
    """
    plan, host = sweep.manifest.plan, sweep.manifest.host
    size, threads = plan.sizes[0], plan.threads[0]
    samples = {quantity.name: Samples(sweep.runs, quantity) for quantity in QUANTITIES}
    observed = {run.label: run.recording for run in sweep.runs if run.recording.observed}
    ledgers = {mode: ledger_of(recording) for mode, recording in observed.items()}
    doubts = [f"{mode}: {doubt}" for mode, ledger in ledgers.items() for doubt in ledger.doubts]
    emulated = [EMULATED] if host.emulated else []
    cpu = {mode: _cpu_by_stage(profile_of(recording)) for mode, recording in observed.items()}
    mechanics = {mode: mechanics_of(recording) for mode, recording in observed.items()}
    contests = [] if host.emulated else _contests(samples, plan.modes, size, threads)
    return Comparison(
        schema=COMPARE_SCHEMA,
        title=f"{format_size(size)}, {threads} connection{'s' * (threads > 1)} over {plan.link}, {plan.repetitions} "
        f"repetitions in shuffled order, Linux {host.kernel}{''.join(f', {word}' for word in settings_of(plan))}",
        modes=plan.modes,
        copies={mode: stage_copies(recording) for mode, recording in observed.items()},
        figures={
            name: {mode: one.interval(mode, size, threads) for mode in plan.modes} for name, one in samples.items()
        },
        sources={name: one.source for name, one in samples.items()},
        cpu=cpu,
        contests=contests,
        trustworthy=not doubts,
        notes=[*doubts, *emulated, *_seldom_sampled(observed)],
        sent_copies={mode: ledger.copies_per_byte.send for mode, ledger in ledgers.items()},
        mechanics=mechanics,
        absent=dict(absent or {}),
        why=_why(contests[-1], cpu, mechanics) if contests else [],
    )


def _contests(samples: dict[str, Samples], modes: list[str], size: int, threads: int) -> list[Contest]:
    """By throughput, by time and by cost, in this order."""
    quantities = ((THROUGHPUT, True), (LATENCY, False), (_cost(samples), False))
    return [_contest(samples[one.name], modes, size, threads, highest) for one, highest in quantities]


def _why(cost: Contest, cpu: dict[str, dict[str, float]], mechanics: dict[str, Mechanics]) -> list[str]:
    """Of each mode that is clearly dearer than the cheapest."""
    sentences = []
    for mode, ratio in cost.behind.items():
        reason = why_dearer(*((cpu.get(one, {}), mechanics.get(one)) for one in (mode, cost.best)))
        if reason and ratio:
            more = f"{1 / ratio.median:.3g}x {cost.best}'s {spoken(cost.quantity)}"
            sentences.append(f"why {mode} takes {more}: {reason}")
    return sentences


def _seldom_sampled(observed: dict[str, Recording]) -> list[str]:
    seldom = [
        f"{mode} {recording.profile.samples}"
        for mode, recording in observed.items()
        if recording.profile is not None and profile_of(recording) is None
    ]
    return [f"CPU time by stage takes {MIN_SAMPLES} samples; there are: {', '.join(seldom)}"] if seldom else []


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
    # Which one is best is chosen by the same figures: any two of the modes might have been compared.
    samples.family = Family(len(medians) * (len(medians) - 1) // 2)
    ratios = {mode: samples.ratio(Cell(best, size, threads), Cell(mode, size, threads)) for _, mode in others}
    better = 1 if highest else -1
    second = ratios[others[0][1]]
    behind = {mode: ratio for mode, ratio in ratios.items() if side_of_one(ratio) == better}
    return Contest(
        quantity=name,
        winner=best if len(behind) == len(ratios) else None,
        sentence=_sentence(samples, best, ratios, better),
        ratio=second,
        best=best,
        behind=behind,
    )


def spoken(quantity: str) -> str:
    """A quantity as a sentence calls it."""
    return _SPOKEN.get(quantity, quantity.replace("_", " "))


def _sentence(samples: Samples, best: str, ratios: dict[str, Interval | None], better: int) -> str:
    of = spoken(samples.quantity.name)
    name = f"{of} (less is better)" if better < 0 else of
    sides = {mode: side_of_one(ratio) for mode, ratio in ratios.items()}
    if None in sides.values():
        unknown = next(ratio for mode, ratio in ratios.items() if sides[mode] is None)
        return f"{name}: undecided, {_why_undecided(unknown, samples.family)}"
    ahead = [_times(ratio, mode) for mode, ratio in ratios.items() if sides[mode] == better]
    alike = [mode for mode, side in sides.items() if side != better]
    if len(ratios) >= MANY:
        return f"{name}: {_short(best, alike, ahead)}"
    if not alike:
        return f"{name}: {best} wins; its {of} is {', '.join(ahead)}"
    tie = f"{name}: no difference beyond noise between {best} and {' and '.join(alike)}"
    return f"{tie}; {best}'s {of} is {', '.join(_times(ratio, mode) for mode, ratio in ratios.items())}"


def _short(best: str, alike: list[str], ahead: list[str]) -> str:
    """Who is ahead, and by how much of the next that is behind; the table has the others."""
    behind = f"; {best}'s is {ahead[0]}" if ahead else ""
    if not alike:
        return f"{best} wins{behind}"
    return f"no difference beyond noise between {', '.join([best, *alike[:-1]])} and {alike[-1]}{behind}"


def _times(ratio: Interval | None, mode: str) -> str:
    """One mode's figure over another's, with the interval: "2x twocopy's (1.9x to 2.1x)"."""
    if ratio is None or ratio.low is None or ratio.high is None:
        return f"n/a of {mode}'s"
    return f"{ratio.median:.3g}x {mode}'s ({ratio.low:.3g}x to {ratio.high:.3g}x)"


def _why_undecided(ratio: Interval | None, family: Family) -> str:
    if ratio is None:
        return "different sources"
    wanted = repetitions_for(family.comparisons)
    return f"too few to tell: {counted(ratio.repetitions, 'repetition')}; it takes --repetitions {wanted} at least"
