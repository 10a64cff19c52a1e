"""Claims from the field: F1 by ledgers that balance, F2 by the engine's count of notifications, F4 by sweeps."""

from __future__ import annotations

from tracer.model import CpuProfile, Document, Link
from tracer.study.claim_rules.bytes import EVERYTHING, NOTHING, of_mode, place
from tracer.study.claim_rules.findings import Case, Evidence, Finding
from tracer.study.claim_rules.modes import compared
from tracer.study.claim_rules.times import by_link, finding
from tracer.study.intervals import share_interval
from tracer.study.measurements import THROUGHPUT
from tracer.units import format_ratio

_URING = ("uring-zerocopy", "uring-zerocopy-fixed")
_COMPLETION = "completion"


def sendfile_copies(evidence: Evidence) -> Finding:
    """F1."""
    cases = [_copied_case(document) for document in of_mode(evidence, "sendfile")]
    known = [case for case in cases if case is not None]
    return Finding(cases=known, missing="" if known else evidence.missing.get("field", "a recording of sendfile"))


def _copied_case(document: Document) -> Case | None:
    copies = document.ledger.copies_per_byte.send
    if copies is None:
        return None
    return Case(where=place(document), holds=_little(copies), text=f"copied {format_ratio(copies)}x the payload")


def _little(share: float) -> bool | None:
    """True of nothing, False of everything, None between."""
    return True if share <= NOTHING else False if share >= EVERYTHING else None


def uring_completions(evidence: Evidence) -> Finding:
    """F2."""
    documents = [document for mode in _URING for document in of_mode(evidence, mode)]
    cases = [case for document in documents if (case := _notified_case(document)) is not None]
    return Finding(cases=cases, missing="" if cases else evidence.missing.get("field", f"a recording of {_URING[0]}"))


def _notified_case(document: Document) -> Case | None:
    observed = document.observed
    if observed is None or observed.completions is None or not observed.asked_sends:
        return None
    read, sent = observed.completions.ranges, observed.asked_sends
    text = f"{read:,} notifications for {sent:,} requests{_cpu_text(document.profile)}"
    where = {"mode": document.experiment.mode, **place(document)}
    return Case(where=where, holds=_little(read / sent), text=text)


def _cpu_text(profile: CpuProfile | None) -> str:
    """What reading them took of the CPU time; empty where nothing sampled."""
    if profile is None or not profile.samples:
        return ""
    sampled = sum(cost.samples for cost in profile.stages if cost.stage == _COMPLETION)
    _, most = share_interval(sampled, profile.samples)
    return f"; completion took {sampled:,} of {profile.samples:,} CPU samples (at most {most:.1%})"


def slower_over_loopback(evidence: Evidence) -> Finding:
    """F4."""
    cases = []
    for link, samples in by_link(evidence, THROUGHPUT):
        if link is Link.LO:
            cases += compared(samples, link, samples.values_of(1), ("onecopy",), -1)
    return finding(evidence, cases, "a sweep of zerocopy and onecopy over lo")
