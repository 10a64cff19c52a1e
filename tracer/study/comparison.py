"""The modes side by side at one size, and the winner, if there is one. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from tracer.books.advice import settings_of
from tracer.books.ledger import ledger_of
from tracer.books.mechanics import Mechanics, mechanics_of
from tracer.books.quantities import MIN_SAMPLES
from tracer.model import CpuProfile, Recording, Stage
from tracer.study.contests import Contest, contest_of, spoken
from tracer.study.intervals import Interval
from tracer.study.measurements import (
    CYCLES,
    DEMAND,
    LATENCY,
    QUANTITIES,
    THROUGHPUT,
    Quantity,
    Samples,
    profile_of,
    stage_copies,
)
from tracer.study.sweep_plan import Sweep
from tracer.study.which_mode import advice_of
from tracer.study.why import why_dearer
from tracer.texts import counted
from tracer.units import format_size

EMULATED = "the CPU is emulated: times and CPU costs say nothing about a real one"
COMPARE_SCHEMA = "nettrace.compare/1"


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What nettrace compare prints.

    Args:
        copies: By mode: bytes of a stage by payload byte; a stage that nobody observed is not there.
        figures: By quantity and mode.
        sources: What counted each quantity.
        contests: Empty where the CPU is emulated.
        cpu: By mode: ns of CPU a payload byte, by stage; empty where nothing sampled.
        sent_copies: By mode: copies of a payload byte in the kernel on the sending side; None where one is not known.
        mechanics: By mode: packets, fragments, ACKs, completions, timers.
        advice: What to take, why, and how sure that is.
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
    advice: list[str] = []


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
        title=_title(sweep),
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
        advice=advice_of(sweep, at_least=True),
        why=_why(contests[-1], cpu, mechanics) if contests else [],
    )


def _title(sweep: Sweep) -> str:
    plan, settings = sweep.manifest.plan, "".join(f", {word}" for word in settings_of(sweep.manifest.plan))
    what = f"{format_size(plan.sizes[0])}, {counted(plan.threads[0], 'connection')} over {plan.link}"
    times = f"{counted(plan.repetitions, 'repetition')} in shuffled order"
    return f"{what}, {times}, Linux {sweep.manifest.host.kernel}{settings}"


def _contests(samples: dict[str, Samples], modes: list[str], size: int, threads: int) -> list[Contest]:
    """By throughput, by time and by cost, in this order."""
    quantities = ((THROUGHPUT, True), (LATENCY, False), (_cost(samples), False))
    return [contest_of(samples[one.name], modes, size, threads, highest=highest) for one, highest in quantities]


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
