"""Advice: which mode to take at which size on this machine and link, why, and how sure that is. Pure.

By throughput, as a program's user sees it. What the intervals do not tell apart is UNDECIDED, and stays so.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from tracer.books.mechanics import NOTHING, Mechanics, mechanics_of
from tracer.study.contests import MANY, Contest, contest_of, times
from tracer.study.intervals import repetitions_for, repetitions_for_all
from tracer.study.measurements import THROUGHPUT, Samples, profile_of
from tracer.study.sweep_plan import Cell, Plan, Sweep
from tracer.study.why import why_dearer
from tracer.texts import counted
from tracer.units import format_size

Cost = tuple[Mapping[str, float], Mechanics]
"""CPU time by stage, and the mechanics."""
NO_COSTS: Cost = ({}, NOTHING)
Costs = Mapping[Cell, Cost]
"""Of each cell's first run."""


class Choice(NamedTuple):
    """What to take at neighbouring sizes that have the same outcome.

    Args:
        contests: One for each size.
    """

    sizes: list[int]
    contests: list[Contest]

    @property
    def winner(self) -> str | None:
        """None where it is undecided."""
        return self.contests[0].winner


def advice_of(sweep: Sweep, *, at_least: bool = False) -> list[str]:
    """A sentence for each number of connections, and how sure they are; none of an A/A check, or an emulated CPU.

    Args:
        at_least: Where there are too few repetitions, the least number that tells anything is said, as contests say it.
    """
    plan = sweep.manifest.plan
    if plan.same_mode_twice or sweep.manifest.host.emulated or len(plan.modes) < 2:
        return []
    samples, costs = Samples(sweep.runs, THROUGHPUT), _costs(sweep)
    sentences = [_sentence(plan, threads, _choices(samples, plan, threads), costs) for threads in plan.threads]
    least = repetitions_for(_comparisons(plan))
    return [*sentences, _how_sure(plan, least, least if at_least else more_repetitions(plan))]


def _costs(sweep: Sweep) -> Costs:
    found = {}
    for run in sweep.runs:
        if run.recording.observed is not None:
            profile = profile_of(run.recording)
            stages = profile.stages if profile is not None else []
            by_stage = {cost.stage: cost.ns_per_byte for cost in stages if cost.ns_per_byte is not None}
            found[run.cell] = (by_stage, mechanics_of(run.recording))
    return found


def _choices(samples: Samples, plan: Plan, threads: int) -> list[Choice]:
    """Neighbouring sizes with one outcome are told together."""
    cells = len(plan.sizes) * len(plan.threads)
    contests = [
        (size, contest_of(samples, plan.modes, size, threads, highest=True, cells=cells)) for size in plan.sizes
    ]
    together = itertools.groupby(contests, key=lambda one: (one[1].winner, frozenset(one[1].alike)))
    return [Choice(*map(list, zip(*group, strict=True))) for _, group in together]


def _sentence(plan: Plan, threads: int, choices: list[Choice], costs: Costs) -> str:
    told = "; ".join(" ".join(_words(choice, threads, costs)) for choice in choices)
    return f"advice for {counted(threads, 'connection')} over {plan.link}, by throughput: {told}"


def _words(choice: Choice, threads: int, costs: Costs) -> Iterator[str]:
    """Sizes, the mode, the least clear of its leads, and why the one that it leads is behind."""
    size, contest = min(zip(*choice, strict=True), key=lambda one: _lead(one[1]))
    yield f"{_sizes(choice.sizes)} {choice.winner or _undecided(contest)}"
    if not contest.behind:
        return
    next_one, ratio = next(iter(contest.behind.items()))
    leads = f"{contest.best}'s is {times(ratio, next_one)} at {format_size(size)}"
    dear, cheap = (costs.get(Cell(mode, size, threads), NO_COSTS) for mode in (next_one, contest.best))
    reason = why_dearer(dear, cheap)
    yield f"({'' if choice.winner else 'not the others: '}{leads}{f', as {next_one} has {reason}' if reason else ''})"


def _lead(contest: Contest) -> float:
    """Of the best over the next that is clearly behind."""
    ratio = next(iter(contest.behind.values()), None)
    return ratio.median if ratio is not None else 0.0


def _undecided(contest: Contest) -> str:
    if not contest.best:
        return "UNDECIDED: nothing to compare"
    alike = [contest.best, *contest.alike]
    if len(alike) > MANY:
        return f"UNDECIDED between {len(alike)} modes, {contest.best} among them"
    return f"UNDECIDED between {', '.join(alike[:-1])} and {alike[-1]}"


def _sizes(sizes: list[int]) -> str:
    first, last = (format_size(size) for size in (sizes[0], sizes[-1]))
    return f"at {first}" if len(sizes) == 1 else f"from {first} to {last}"


def more_repetitions(plan: Plan) -> int:
    """The one number for whoever finds too few: twice as many, and enough for all that such a sweep may be asked."""
    return max(2 * plan.repetitions, repetitions_for(_comparisons(plan)), repetitions_for_all(len(plan.cells())))


def _comparisons(plan: Plan) -> int:
    """Any two modes, at each size and number of threads."""
    return len(plan.modes) * (len(plan.modes) - 1) // 2 * len(plan.sizes) * len(plan.threads)


def _how_sure(plan: Plan, least: int, wanted: int) -> str:
    """The confidence of all that was said, taken together; or why there is none."""
    comparisons = _comparisons(plan)
    if plan.repetitions < least:
        few = f"{counted(plan.repetitions, 'repetition')} {'is' if plan.repetitions == 1 else 'are'} too few"
        return f"how sure: not at all, {few}: --repetitions {wanted}"
    of = "its one comparison" if comparisons == 1 else f"all {comparisons:,} comparisons together"
    return f"how sure: 95 % for {of}, by {plan.repetitions} repetitions; of this machine, this link and this load"
