"""What the reader must know about the cost figures of a recording. Pure."""

from __future__ import annotations

from tracer.books.quantities import MIN_SAMPLES
from tracer.books.stages import unmapped_share
from tracer.model import Counter, CpuProfile, Experiment, Workload
from tracer.texts import counted

# A profile of which more than this is nobody knows what needs new rows in tracer/books/stage_table.py.
_MAX_UNMAPPED = 0.05
# Of a profile with more than this in other processes' contexts, other traffic may be a part.
_MAX_ELSEWHERE = 0.1
# 25 shuffled pairs of one-copy, 16 KiB, loopback, 2 virtual CPUs: 1.1 to 1.2 of the CPU time, 1.2 to 1.3 of the time,
# where two bare passes differed by 1.03 and 1.08. perf switches its events at every context switch.
_PERF_COSTS = "perf slowed the bare pass down, by 10 to 20 % where that was measured: time it without --counters"
# perf counts between enable() and disable() (tracer/observers/counters.py), the engine reads clocks around its loops.
_TWO_CLOCKS = (
    "CPU time is told by two clocks, both of the bare pass: the figures have those of the threads that send and "
    "receive, around their loops, as compare and sweep do; cost of a byte has perf's task-clock of each whole process, "
    "which its cycles go with"
)
_FLOW_CONTROL = (
    "times and CPU time have what it costs that the receiver says how far it is, over a TCP connection: whoever sends "
    "by UDP needs such news too, or loses datagrams"
)


def notes_of(counters: list[Counter], profile: CpuProfile | None) -> list[str]:
    """Notes on counters that count nothing or cost something, and on a profile that is thin."""
    complaint = complaint_of(counters)
    notes = [complaint] if complaint else []
    if any(counter.source == "perf" for counter in counters):
        notes.append(_PERF_COSTS)
    if any(counter.event == "task-clock" and counter.source == "perf" for counter in counters):
        notes.append(_TWO_CLOCKS)
    return notes + (_profile_notes(profile) if profile else [])


def notes_on_datagrams(workload: Workload) -> list[str]:
    """What is in the cost of UDP's modes, and not in that of TCP's."""
    return [_FLOW_CONTROL] if workload.datagrams else []


def complaint_of(counters: list[Counter]) -> str | None:
    """A note for a run in which perf counted nothing for a scope; None where it counted something everywhere."""
    reasons: dict[str, str] = {}
    for scope in dict.fromkeys(counter.scope for counter in counters):
        mine = [counter for counter in counters if counter.scope == scope and counter.source in ("none", "perf")]
        if mine and not any(counter.source == "perf" for counter in mine):
            reasons[scope] = mine[0].note
    whole = "; ".join(dict.fromkeys(reasons.values()))
    return f"no counters of {', '.join(reasons)}: {whole}" if reasons else None


def notes_on_names(experiment: Experiment, why: str | None) -> list[str]:
    """A note on the stacks that were asked for and have no names.

    Args:
        why: Why the names of kernel functions are hidden, and what shows them; None if they are not.
    """
    asked = [name for name, wanted in (("stacks", experiment.stacks), ("CPU profile", experiment.profile)) if wanted]
    return [f"{' and '.join(asked)}: n/a, because {why}"] if why and asked else []


def _profile_notes(profile: CpuProfile) -> list[str]:
    if not profile.samples:
        return [_why_empty(profile)]
    notes = []
    if profile.samples < MIN_SAMPLES:
        notes.append(
            f"the CPU profile has {counted(profile.samples, 'sample')}, and under {MIN_SAMPLES} no share is known: "
            "send more"
        )
    if profile.lost:
        notes.append(f"lost of the CPU profile: {counted(profile.lost, 'sample')}")
    if profile.elsewhere > _MAX_ELSEWHERE * profile.samples:
        notes.append(
            f"of the CPU profile {counted(profile.elsewhere, 'sample')} in softirqs may belong to other TCP traffic"
        )
    unmapped = unmapped_share(profile.stages)
    if unmapped > _MAX_UNMAPPED:
        notes.append(f"{unmapped:.1%} of the CPU profile is in kernel functions that nettrace has no stage for")
    return notes


def _why_empty(profile: CpuProfile) -> str:
    """No sample at all: too short a pass, samples that were all lost, or processes that the kernel did not know."""
    if profile.lost:
        return f"no CPU profile: all of its samples were lost ({profile.lost})"
    periods = round(profile.elapsed_s * 1e9 / profile.period_ns)
    if periods < MIN_SAMPLES:
        return f"no CPU profile: the pass was over after {periods} periods of the sampler: send more"
    return (
        f"no CPU profile: of some {periods} samples for each CPU not one was of the sender or the receiver; "
        "the kernel knows them by other pids than this process does (a PID namespace), or another CPU ran them"
    )
