"""Claims on what costs CPU: S3, S11, S12 and S13. Decided by sweeps and CPU profiles of a real CPU."""

from __future__ import annotations

from tracer.books.quantities import MIN_SAMPLES, MOST_UNATTRIBUTED
from tracer.books.stage_table import Work
from tracer.books.stages import UNMAPPED
from tracer.model import CpuProfile, Link, Recording
from tracer.study.claim_rules.bytes import second_copy
from tracer.study.claim_rules.findings import Case, Evidence, Finding
from tracer.study.claim_rules.modes import compared, tiny_sizes
from tracer.study.claim_rules.times import COST, Where, by_link, finding, looped_remark, shown
from tracer.study.intervals import share_interval, side_of_one
from tracer.study.measurements import MISSES, THROUGHPUT, Samples
from tracer.study.sweep_plan import Cell
from tracer.texts import counted

# "Dominates": more than all the rest together.
DOMINANT = 0.5
# The first copy, and every way in which there can be a second one before the device.
COPIES = (Work.COPY_IN, Work.LINEARIZE, Work.BOUNCE, Work.DEFERRED_COPY)
# Samples of functions that the table does not know: they could belong to any stage.
UNATTRIBUTED = (UNMAPPED,)
# "Pinning, DMA set-up and accounting": completions are the accounting's other half.
ZERO_COPY_OVERHEAD = (Work.PIN, Work.COMPLETION, Work.MEMORY, Work.DEVICE)
_TOLD_CAUSE = "pinning, memory, device and completions"
_WHY_NOT_KNOWN = "; why is not known: "
NO_PROFILE = "a CPU profile by stage: nettrace sweep or run with the sampler, on a real CPU"


def share_of(profile: CpuProfile, stages: tuple[str, ...]) -> float:
    """Share of the CPU time that these stages took; one without a sample took none."""
    return sum(cost.share for cost in profile.stages if cost.stage in stages)


def dominates(profile: CpuProfile, stages: tuple[str, ...]) -> bool | None:
    """Whether these stages took over half of the CPU time; None where chance or the unattributed rest could decide."""
    if why_no_judge(profile):
        return None
    sampled = sum(cost.samples for cost in profile.stages if cost.stage in stages)
    rest = sum(cost.samples for cost in profile.stages if cost.stage in UNATTRIBUTED)
    least, _ = share_interval(min(sampled, profile.samples), profile.samples)
    _, most = share_interval(min(sampled + rest, profile.samples), profile.samples)
    return True if least > DOMINANT else None if most > DOMINANT else False


def why_no_judge(profile: CpuProfile) -> str:
    """What a profile lacks to be judged from; empty if nothing."""
    if profile.samples < MIN_SAMPLES:
        return f"more samples: {MIN_SAMPLES} at least, by sending more (nettrace sweep --bytes-budget)"
    if share_of(profile, UNATTRIBUTED) > MOST_UNATTRIBUTED:
        return f"a CPU profile that leaves at most {MOST_UNATTRIBUTED:.0%} of it unattributed"
    return ""


def _told(profile: CpuProfile, stages: tuple[str, ...]) -> str:
    share, rest = share_of(profile, stages), share_of(profile, UNATTRIBUTED)
    others = [cost for cost in profile.stages if cost.stage not in (*stages, *UNATTRIBUTED)]
    largest = max(others, key=lambda cost: cost.share, default=None)
    elsewhere = f", {largest.stage.replace('_', ' ')} {largest.share:.0%}" if largest else ""
    samples = f"{counted(profile.samples, 'sample')} of {profile.event}"
    return f"{share:.0%} of the CPU time{elsewhere}, {rest:.0%} unattributed ({samples})"


def _where(recording: Recording) -> Where:
    experiment = recording.experiment
    return {"link": str(experiment.link), "size": experiment.size, "threads": experiment.threads}


def copies_dominate(evidence: Evidence) -> Finding:
    """S3: both copies must exist, and take more CPU time than all the rest."""
    cases, lacks = [], ""
    second = [case.holds for case in second_copy(evidence).cases]
    for recording, profile in evidence.profiled:
        if recording.experiment.mode != "twocopy":
            continue
        lacks = lacks or why_no_judge(profile)
        holds = dominates(profile, COPIES)
        if holds:
            # A dominant share decides only if the second copy was looked for over a NIC.
            holds = False if False in second else True if True in second else None
        text = f"copies on the way out took {_told(profile, COPIES)}"
        cases.append(Case(where=_where(recording), holds=holds, text=text))
    wanted = lacks or "a run over a NIC, to see whether there is a second copy, or a profile with less unattributed"
    undecided = wanted if any(case.holds is None for case in cases) else ""
    absent = "a NIC with scatter-gather makes no second copy at all (S2)" if False in second else ""
    return Finding(cases=cases, missing=undecided if cases else NO_PROFILE, remark=absent)


def fewest_cycles(evidence: Evidence) -> Finding:
    """S11."""
    cases: list[Case] = []
    for link, samples in by_link(evidence, *COST):
        cases += compared(samples, link, samples.values_of(1), ("onecopy", "twocopy"), -1)
    return finding(evidence, cases, "cycles or CPU time of all three modes", looped_remark(evidence))


def slow_when_small(evidence: Evidence) -> Finding:
    """S12: slower first; then why."""
    cases: list[Case] = []
    for link, samples in by_link(evidence, THROUGHPUT):
        slower = compared(samples, link, tiny_sizes(samples), ("onecopy", "twocopy"), -1)
        cases += [_with_cause(evidence, case, link) for case in slower]
    if not cases:
        return finding(evidence, cases, "runs of all three modes at 1024 bytes or less")
    remark = "; ".join(filter(None, [_why_not(cases), looped_remark(evidence)]))
    return Finding(cases=cases, missing=evidence.why_no_times() or _why_unknown(cases), remark=remark)


def _why_unknown(cases: list[Case]) -> str:
    """What would tell why zero-copy is slower, where it is and nobody knows; empty where that is known."""
    unclear = [case.text for case in cases if case.holds is None]
    lacks = next((text.partition(_WHY_NOT_KNOWN)[2] for text in unclear if _WHY_NOT_KNOWN in text), "")
    return f"it is slower, but why is not known: {lacks}" if lacks else ""


def _why_not(cases: list[Case]) -> str:
    """In words, where the claim fails: which half of it."""
    failing = [case.text for case in cases if case.holds is False]
    otherwise = next((text for text in failing if _TOLD_CAUSE in text), "")
    if otherwise:
        return f"it is slower, but {otherwise.rpartition('; ')[2]}"
    return "it is not slower" if failing else ""


def _with_cause(evidence: Evidence, slower: Case, link: Link) -> Case:
    if slower.holds is not True:
        return slower
    profile = next(
        (
            profile
            for recording, profile in evidence.profiled
            if recording.experiment.mode == "zerocopy" and _where(recording) == slower.where
        ),
        None,
    )
    if profile is None:
        return Case(where=slower.where, holds=None, text=f"{slower.text}{_WHY_NOT_KNOWN}{NO_PROFILE}")
    text = f"{slower.text}; {_TOLD_CAUSE} took {_told(profile, ZERO_COPY_OVERHEAD)} over {link}"
    holds = dominates(profile, ZERO_COPY_OVERHEAD)
    lacks = why_no_judge(profile) or "a CPU profile with more samples and less unattributed"
    return Case(where=slower.where, holds=holds, text=text if holds is not None else f"{text}{_WHY_NOT_KNOWN}{lacks}")


def fewer_misses(evidence: Evidence) -> Finding:
    """S13: fewer misses a byte than two-copy at every size, and the more so the larger the message."""
    cases = []
    for link, samples in by_link(evidence, MISSES):
        for mode in ("onecopy", "zerocopy"):
            for threads in samples.values_of(2):
                case = _misses_case(samples, mode, threads, {"link": str(link), "mode": mode, "threads": threads})
                cases += [case] if case else []
    lacks = "cache misses, or branch misses in their place: no counter of this machine's CPU can be read"
    return finding(evidence, cases, lacks)


def _misses_case(samples: Samples, mode: str, threads: int, where: Where) -> Case | None:
    sizes = [size for size in samples.values_of(1) if samples.at(mode, size, threads)]
    ratios = [samples.ratio(Cell(mode, size, threads), Cell("twocopy", size, threads)) for size in sizes]
    if len(sizes) < 2 or any(ratio is None for ratio in ratios):
        return None
    sides = [side_of_one(ratio) for ratio in ratios]
    medians = [ratio.median for ratio in ratios if ratio]
    ends = f"{shown(ratios[0])} at {sizes[0]} B, {shown(ratios[-1])} at {sizes[-1]} B"
    text = f"misses over twocopy's: {ends} ({samples.source})"
    if None in sides:
        return Case(where=where, holds=None, text=text)
    if sides[-1] != -1 or 1 in sides:
        return Case(where=where, holds=False, text=text)
    return Case(where=where, holds=medians[-1] == min(medians), text=text)
