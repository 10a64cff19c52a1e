"""Claims on throughput, latency and context switches: S6, S8 to S10 and S14. Decided by sweeps on a real CPU."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable

from tracer.model import Link
from tracer.study.claim_rules.findings import Case, Evidence, Finding
from tracer.study.contests import spoken
from tracer.study.intervals import Interval, side_of_one
from tracer.study.measurements import (
    CYCLES,
    DEMAND,
    LATENCY,
    MISSES,
    SWITCHES,
    THROUGHPUT,
    Quantity,
    Samples,
)  # fmt: skip
from tracer.study.sweep_plan import Cell
from tracer.texts import counted

# Cycles, by perf or by the stand-in for them; where a sweep has neither, CPU time, which is cycles at a steady clock.
COST = (CYCLES, DEMAND)

Where = dict[str, str | int | bool]


def by_link(evidence: Evidence, *quantities: Quantity) -> list[tuple[Link, Samples]]:
    """Samples of the first of these quantities that there is, for each link: two links are never compared."""
    links = dict.fromkeys(run.recording.experiment.link for run in evidence.runs)
    found = []
    for link in links:
        runs = [run for run in evidence.runs if run.recording.experiment.link is link]
        there = [samples for quantity in quantities if (samples := Samples(runs, quantity, evidence.family)).cells()]
        found += [(link, there[0])] if there else []
    return found


def finding(evidence: Evidence, cases: list[Case], lacks: str = "", remark: str = "") -> Finding:
    """With what is missing where times are; `lacks` where the sweep has times and not what this claim needs."""
    return Finding(cases=cases, missing=evidence.why_no_times() or ("" if cases else lacks), remark=remark)


def looped_remark(evidence: Evidence) -> str:
    """What figures of zero-copy mean where no NIC was swept on a real CPU."""
    links = {run.recording.experiment.link for run in evidence.runs}
    if not links or Link.NIC in links:
        return ""
    names = " and ".join(sorted(links))
    return f"measured over {names} alone, where every zero-copy byte is copied after all (S5), and not over a NIC"


def shown(ratio: Interval | None) -> str:
    """A ratio with its interval."""
    return "n/a" if ratio is None else f"{ratio}x"


def trend(samples: Samples, cells: list[Cell], wanted: int) -> tuple[bool | None, str]:
    """Whether a quantity rises (wanted=1) or falls (-1) along cells; False if it clearly does the contrary anywhere.

    A step that noise hides does no harm, if the last cell clearly differs from the first.
    """
    steps = [side_of_one(samples.ratio(after, before)) for before, after in itertools.pairwise(cells)]
    whole = samples.ratio(cells[-1], cells[0])
    sides = [*steps, side_of_one(whole)]
    text = f"last over first: {shown(whole)}"
    if any(side == -wanted for side in sides):
        return False, f"{text}, with a clear step the other way"
    return (True if sides[-1] == wanted else None), text


def along_sizes(*quantities: Quantity, wanted: int, lacks: str) -> Callable[[Evidence], Finding]:
    """A rule: the quantity rises or falls with the message size, for every mode and number of threads."""

    def find(evidence: Evidence) -> Finding:
        cases = []
        for link, samples in by_link(evidence, *quantities):
            sizes = samples.values_of(1)
            for mode in samples.values_of(0):
                for threads in samples.values_of(2):
                    cells = [Cell(mode, size, threads) for size in sizes]
                    where: Where = {"link": str(link), "mode": mode, "threads": threads}
                    cases += _trend_case(samples, cells, wanted, where)
        return finding(evidence, cases, lacks)

    return find


def along_threads(quantity: Quantity, wanted: int, lacks: str) -> Callable[[Evidence], Finding]:
    """A rule: the quantity rises or falls with the number of threads, for every mode and size."""

    def find(evidence: Evidence) -> Finding:
        cases = []
        for link, samples in by_link(evidence, quantity):
            for mode, size, cells in _thread_rows(samples):
                cases += _trend_case(samples, cells, wanted, {"link": str(link), "mode": mode, "size": size})
        return finding(evidence, cases, lacks)

    return find


def _trend_case(samples: Samples, cells: list[Cell], wanted: int, where: Where) -> list[Case]:
    there = [cell for cell in cells if samples.at(*cell)]
    if len(there) < 2:
        return []
    holds, text = trend(samples, there, wanted)
    return [Case(where=where, holds=holds, text=f"{spoken(samples.quantity.name)} {text} ({samples.source})")]


def _thread_rows(samples: Samples) -> Iterable[tuple[str, int, list[Cell]]]:
    for mode in samples.values_of(0):
        for size in samples.values_of(1):
            yield mode, size, [Cell(mode, size, threads) for threads in samples.values_of(2)]


def rise_and_fall(evidence: Evidence) -> Finding:
    """S8: first the shape; then whether context switches and cache misses rise where throughput falls."""
    cases, lacks = [], ""
    for link, samples in by_link(evidence, THROUGHPUT):
        causes = [dict(by_link(evidence, quantity)).get(link) for quantity in (SWITCHES, MISSES)]
        for mode, size, cells in _thread_rows(samples):
            there = [cell for cell in cells if samples.at(*cell)]
            if len(there) < 3:
                continue
            case, lack = _rise_and_fall_case(samples, there, causes, {"link": str(link), "mode": mode, "size": size})
            cases.append(case)
            lacks = lacks or lack
    undecided = lacks if any(case.holds is None for case in cases) else ""
    return Finding(
        cases=cases, missing=evidence.why_no_times() or undecided or ("" if cases else "three thread counts")
    )


def _rise_and_fall_case(
    samples: Samples, cells: list[Cell], causes: list[Samples | None], where: Where
) -> tuple[Case, str]:
    medians = [found.median if (found := samples.interval(*cell)) else 0.0 for cell in cells]
    peak = cells[medians.index(max(medians))]
    rise, fall = samples.ratio(peak, cells[0]), samples.ratio(cells[-1], peak)
    text = f"peak at {counted(peak.threads, 'thread')}, {shown(rise)} of {cells[0].threads}'s; "
    text += f"{cells[-1].threads} have {shown(fall)} of the peak"
    rises, falls = side_of_one(rise) == 1, side_of_one(fall) == -1
    if peak == cells[-1] and rises:
        return Case(where=where, holds=False, text=f"{text}: no fall"), ""
    if peak == cells[0] and falls:
        return Case(where=where, holds=False, text=f"{text}: no rise"), ""
    if not (rises and falls):
        return Case(where=where, holds=None, text=text), ""
    sides = [side_of_one(cause.ratio(cells[-1], peak)) if cause else None for cause in causes]
    if -1 in sides or 0 in sides:
        return Case(where=where, holds=False, text=f"{text}: but switches or misses do not rise there"), ""
    if None in sides:
        absent = "context switches" if sides[0] is None else "cache misses, or branch misses in their place"
        return Case(where=where, holds=None, text=text), f"counts of {absent}, to tell why throughput falls"
    return Case(where=where, holds=True, text=text), ""


RISING_THROUGHPUT = along_sizes(THROUGHPUT, wanted=1, lacks="two sizes")
RISING_LATENCY = along_sizes(LATENCY, wanted=1, lacks="two sizes")
FALLING_CYCLES = along_sizes(*COST, wanted=-1, lacks="cycles or CPU time of two sizes")
RISING_SWITCHES = along_threads(
    SWITCHES, 1, "counts of context switches (perf stat) in the sweep, at two numbers of threads"
)
