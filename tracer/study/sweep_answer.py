"""What a sweep found, in a sentence for each mode that is set against two-copy; by the rule of the crossovers. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from tracer.study.crossovers import REFERENCE, Crossover, crossovers
from tracer.study.sweep_plan import Sweep
from tracer.units import format_size


def answer_of(sweep: Sweep) -> list[str]:
    """A sentence for each mode; empty for an A/A check, which compares no two modes."""
    plan = sweep.manifest.plan
    if plan.same_mode_twice:
        return []
    found = crossovers(sweep)
    if not found:
        return [f"No mode is said to be faster: {_why_none(sweep)}."]
    challengers = dict.fromkeys(one.challenger for one in found)
    sentences = {name: _sentence([one for one in found if one.challenger == name], plan.sizes) for name in challengers}
    return [f"{text}, against {REFERENCE} over {plan.link} by throughput." for text in sentences.values()]


def is_decided(sweep: Sweep) -> bool:
    """Whether every size of every mode and number of threads has a winner, or lies around a crossover."""
    sizes = sweep.manifest.plan.sizes
    return all(one.found or len(_undecided(one, sizes)) == 0 for one in crossovers(sweep))


def _why_none(sweep: Sweep) -> str:
    if sweep.manifest.host.emulated:
        return "the CPU is emulated, and its times are no measure of a real one"
    return f"it takes {REFERENCE}, which the others are set against, and another mode"


def _sentence(found: list[Crossover], sizes: list[int]) -> str:
    """Numbers of threads with the same outcome are told together."""
    threads: dict[str, list[str]] = {}
    for one in found:
        threads.setdefault(_outcome(one, sizes), []).append(str(one.threads))
    if len(threads) == 1:
        return f"{found[0].challenger} {next(iter(threads))}"
    told = (f"{outcome} with {_listed(n)} thread{'s' * (n != ['1'])}" for outcome, n in threads.items())
    return f"{found[0].challenger} {'; '.join(told)}"


def _listed(words: Sequence[str]) -> str:
    """1, 2 and 4."""
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last


def _outcome(one: Crossover, sizes: list[int]) -> str:
    wins, loses, undecided = one.ahead, one.behind, _undecided(one, sizes)
    if one.found and one.high is not None:
        return f"pays from {format_size(one.high)} on"
    if wins == sizes:
        return "pays at every size"
    if loses == sizes:
        return f"does not pay up to {format_size(sizes[-1])}"
    if undecided == sizes:
        return "is not known to pay or to lose at any size"
    parts = (("pays", wins), ("does not pay", loses), ("is not known to pay or to lose", undecided))
    return ", ".join(f"{verb} at {_listed([*map(format_size, at)])}" for verb, at in parts if at)


def _undecided(one: Crossover, sizes: list[int]) -> list[int]:
    return [size for size in sizes if size not in one.ahead and size not in one.behind]
