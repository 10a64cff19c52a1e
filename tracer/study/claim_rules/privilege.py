"""S18: what perf stat lets an ordinary user count. Decided by trying it. Pure: the tries are made elsewhere."""

from __future__ import annotations

from tracer.books.perf_attempt import PerfAttempt
from tracer.study.claim_rules.findings import Case, Evidence, Finding

# perf_allow_kernel(), include/linux/perf_event.h: above 1, the kernel's share is for those with CAP_PERFMON alone.
KERNEL_ALLOWED_UP_TO = 1
NO_TRY = "a try as an ordinary user: it takes perf, and root to become one"


def perf_needs_sysctl(evidence: Evidence) -> Finding:
    """S18. One case for each thing to count: refused above level 1, and allowed once it is lowered.

    A perf stat that ends well and leaves the kernel's share out is no refusal, so it can depend on what is counted.
    """
    attempts = [one for one in evidence.perf_attempts or [] if not one.absent]
    high = [one for one in attempts if one.level > KERNEL_ALLOWED_UP_TO]
    low = [one for one in attempts if one.level <= KERNEL_ALLOWED_UP_TO]
    cases = [_case(one, next((other for other in low if other.counts == one.counts), None)) for one in high]
    return Finding(cases=cases, missing=_missing(evidence, high, low, cases), remark=_remark(high))


def _case(refused: PerfAttempt, lowered: PerfAttempt | None) -> Case:
    before = f"level {refused.level}: {_told(refused)}"
    if refused.worked:
        return Case(where={"counting": refused.counts}, holds=False, text=before)
    after = f"level {lowered.level}: {_told(lowered)}" if lowered else "not tried at a lower level"
    # System-wide counting takes level 0 or less; being refused at 1 as well says nothing about the claim.
    holds = True if lowered and lowered.worked else False if lowered and lowered.counts == "kernel" else None
    return Case(where={"counting": refused.counts}, holds=holds, text=f"{before}; {after}")


def _told(attempt: PerfAttempt) -> str:
    if attempt.worked:
        return "works, but leaves the kernel's share out" if attempt.user_only else "works"
    return f"refused ({attempt.message})" if attempt.message else "refused"


def _missing(evidence: Evidence, high: list[PerfAttempt], low: list[PerfAttempt], cases: list[Case]) -> str:
    if not evidence.perf_attempts:
        return evidence.missing.get("perf", NO_TRY)
    if not (high or low):
        return f"a perf that can try: {evidence.perf_attempts[0].message or 'this one counts nothing'}"
    if not high:
        return f"a machine whose perf_event_paranoid is above {KERNEL_ALLOWED_UP_TO}; here it is {low[0].level}"
    if any(case.holds is None for case in cases):
        return "the same with perf_event_paranoid lowered: --lower-paranoid"
    return ""


def _remark(high: list[PerfAttempt]) -> str:
    silent = any(one.worked and one.user_only for one in high)
    return "where it works it silently counts user mode alone, so that context switches read 0" if silent else ""
