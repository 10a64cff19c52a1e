"""What stands below a picture: who measured its values, where, and how often. No drawing."""

from __future__ import annotations

from collections import Counter

from tracer.books.advice import settings_of
from tracer.study.intervals import MIN_REPETITIONS
from tracer.study.sweep_plan import Sweep
from tracer.texts import counted

_SOURCES = {
    "bare pass": "by the engine, in the bare pass",
    "bare pass, sender": "by the engine, in the bare pass",
    "perf": "perf stat",
    "tsc": "stand-in, TSC rate x CPU time, as this CPU's cycle counter cannot be read",
}


def source(name: str) -> str:
    """What counted, in words."""
    return _SOURCES.get(name, name)


def place(sweep: Sweep) -> str:
    """The machine, the link and the order of the runs."""
    plan, host = sweep.manifest.plan, sweep.manifest.host
    device = f" ({host.nic.device})" if host.nic and host.nic.device != plan.link else ""
    cpu = f"EMULATED CPU {host.cpu}: times say nothing" if host.emulated else host.cpu
    set_to = "".join(f", {word}" for word in settings_of(plan))
    on = f"Linux {host.kernel}, {cpu}, {counted(host.cores, 'core')}, link {plan.link}{device}"
    return f"{on}{set_to}; seed {plan.seed}"


def repetitions(sweep: Sweep) -> str:
    """How many values a point stands for, and what its bar is; none where they are too few for one."""
    done = Counter(run.cell for run in sweep.runs).values()
    fewest, most = min(done), max(done)
    many = f"{fewest} to {most} repetitions" if fewest < most else counted(most, "repetition")
    whole = many if most == 1 else f"medians of {many}"
    if fewest >= MIN_REPETITIONS:
        return f"{whole} with their 95 % intervals"
    if most >= MIN_REPETITIONS:
        return f"{whole}; 95 % intervals where there are at least {MIN_REPETITIONS}"
    return f"{whole}, too few for intervals (at least {MIN_REPETITIONS})"
