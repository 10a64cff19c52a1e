"""Claims that set one mode against another: S7, S15 to S17, parts of S11 and S12. Decided by sweeps on a real CPU."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from tracer.model import Link
from tracer.study.claim_rules.findings import Case, Evidence, Finding
from tracer.study.claim_rules.times import Where, by_link, finding, looped_remark, shown
from tracer.study.contests import spoken
from tracer.study.crossovers import Crossover, crossover_of
from tracer.study.intervals import Interval, Series, ratio_of, side_of_one
from tracer.study.measurements import THROUGHPUT, Samples
from tracer.study.sweep_plan import Cell
from tracer.units import format_size

ORDER = ("zerocopy", "onecopy", "twocopy")
# "About": within a factor of two of the size that the claim names.
ABOUT = 2.0
# Not clearly better: surely less than 5 % ahead.
MARGIN = 1.05
# The claims speak of small and tiny messages; the study's smallest had 1024 bytes.
TINY = 1024


def peak_order(evidence: Evidence) -> Finding:
    """S7: the peaks of all three modes, wherever each one has its own.

    The peaks of each repetition: the cell with the best median would be chosen by the noise that it is then judged by.
    """
    cases = []
    for link, samples in by_link(evidence, THROUGHPUT):
        peaks = {mode: _peaks(samples, mode) for mode in ORDER}
        ratios = [_peak_ratio(samples, peaks, one, other) for one, other in itertools.pairwise(ORDER)]
        if None in ratios:
            continue
        sides = [side_of_one(ratio) for ratio in ratios]
        holds = False if -1 in sides else True if sides == [1, 1] else None
        text = f"zerocopy over onecopy {shown(ratios[0])}, onecopy over twocopy {shown(ratios[1])}"
        cases.append(Case(where={"link": str(link)}, holds=holds, text=text))
    return finding(evidence, cases, "a sweep of all three modes", looped_remark(evidence))


def _peaks(samples: Samples, mode: str) -> Series:
    """The best value of each repetition that has them all."""
    cells = [samples.at(*cell) for cell in samples.cells() if cell.label == mode]
    whole = set.intersection(*(set(series) for series in cells)) if cells else set()
    return {repetition: max(series[repetition] for series in cells) for repetition in whole}


def _peak_ratio(samples: Samples, peaks: dict[str, Series], one: str, other: str) -> Interval | None:
    samples.family.add(samples, one, other)
    return ratio_of(peaks[one], peaks[other], samples.family.comparisons) if samples.comparable else None


def compared(samples: Samples, link: Link, sizes: list[int], others: tuple[str, ...], wanted: int) -> list[Case]:
    """Zero-copy against other modes: holds where its ratio to each of them is clearly on the wanted side of 1."""
    cases = []
    for size in sizes:
        for threads in samples.values_of(2):
            ratios = [samples.ratio(Cell("zerocopy", size, threads), Cell(other, size, threads)) for other in others]
            if any(ratio is None for ratio in ratios):
                continue
            sides = [side_of_one(ratio) for ratio in ratios]
            holds = False if -wanted in sides else True if all(side == wanted for side in sides) else None
            texts = [f"over {other} {shown(ratio)}" for other, ratio in zip(others, ratios, strict=True)]
            where: Where = {"link": str(link), "size": size, "threads": threads}
            text = f"{spoken(samples.quantity.name)} of zerocopy {', '.join(texts)} ({samples.source})"
            cases.append(Case(where=where, holds=holds, text=text))
    return cases


def tiny_sizes(samples: Samples) -> list[int]:
    """The sizes that count as small."""
    return [size for size in samples.values_of(1) if size <= TINY]


def overtakes(challenger: str, claimed: int, reference: str = "twocopy") -> Callable[[Evidence], Finding]:
    """A rule: the challenger overtakes the reference at about the claimed size."""

    def find(evidence: Evidence) -> Finding:
        cases = []
        for link, samples in by_link(evidence, THROUGHPUT):
            for threads in samples.values_of(2):
                crossover = crossover_of(samples, challenger, reference, threads)
                where: Where = {"link": str(link), "threads": threads}
                cases.append(Case(where=where, holds=_is_about(crossover, claimed, samples), text=_told(crossover)))
        return finding(evidence, cases, remark=looped_remark(evidence) if challenger == "zerocopy" else "")

    return find


def _is_about(crossover: Crossover, claimed: int, samples: Samples) -> bool | None:
    """None where nothing was named for noise; a mode that clearly leads, or trails, everywhere crosses nowhere."""
    if crossover.found and crossover.estimate is not None:
        return claimed / ABOUT <= crossover.estimate <= claimed * ABOUT
    sides = [
        side_of_one(samples.ratio(Cell(crossover.challenger, size, crossover.threads),
                                  Cell(crossover.reference, size, crossover.threads)))
        for size in samples.values_of(1) if claimed / 4 <= size <= claimed * 4
    ]  # fmt: skip
    # Around the claimed size, on both sides of it, the same mode is clearly ahead.
    return False if len(sides) >= 2 and (set(sides) == {1} or set(sides) == {-1}) else None


def _told(crossover: Crossover) -> str:
    at = f", at about {format_size(round(crossover.estimate))}" if crossover.estimate else ""
    return f"{crossover.challenger} over {crossover.reference}: {crossover.reason}{at}"


def not_clearly_better(evidence: Evidence) -> Finding:
    """S17."""
    cases = []
    for link, samples in by_link(evidence, THROUGHPUT):
        for size in tiny_sizes(samples):
            for threads in samples.values_of(2):
                ratio = samples.ratio(Cell("zerocopy", size, threads), Cell("onecopy", size, threads))
                if ratio is None:
                    continue
                where: Where = {"link": str(link), "size": size, "threads": threads}
                cases.append(Case(where=where, holds=_not_better(ratio), text=f"throughput {shown(ratio)} of onecopy"))
    return finding(evidence, cases, f"runs of zerocopy and onecopy at {TINY} bytes or less")


def _not_better(ratio: Interval) -> bool | None:
    if ratio.low is None or ratio.high is None:
        return None
    return True if ratio.high < MARGIN else False if ratio.low > 1 else None
