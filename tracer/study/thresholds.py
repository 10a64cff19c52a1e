"""What a sweep says about messages that are too small for zero-copy. Pure."""

from __future__ import annotations

from tracer.books.advice import settings_of
from tracer.model.socket_recording import Threshold
from tracer.study.crossovers import crossovers
from tracer.study.sweep_plan import Sweep
from tracer.units import format_size


def threshold_of(sweep: Sweep) -> Threshold | None:
    """The greatest size at which copying clearly wins; None where none may be named, in the lab, or if set so."""
    if sweep.manifest.plan.lab is not None or settings_of(sweep.manifest.plan):
        return None
    found = [one for one in crossovers(sweep) if one.challenger == "zerocopy" and one.found]
    if not found or found[0].low is None or found[0].high is None:
        return None
    link, day = sweep.manifest.plan.link, sweep.manifest.started[:10]
    said = f"a sweep of this machine over {link}, {day}; it wins clearly from {format_size(found[0].high)} on"
    return Threshold(bytes=found[0].low, source=said)
