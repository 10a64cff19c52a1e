"""All modes of this machine side by side: those that it can do, and a plan that is short enough to be waited for."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from tracer.errors import Interrupted, NettraceError
from tracer.model import Experiment, Settings
from tracer.study.intervals import repetitions_for
from tracer.study.sweep import Recorder
from tracer.study.sweep_plan import Plan

# Payload of one run, so that all of them together take less than a minute; that of the first one of a mode, which is
# sampled, and wants a hundred samples.
RUN_BYTES, SAMPLED_BYTES = 16 << 20, 160 << 20
_TRIED_MESSAGES = 3


def plan_of_all(plan: Plan, without: Collection[str]) -> Plan:
    """The same with little work a run, and with as many repetitions as it takes to tell any two modes apart."""
    modes = [mode for mode in plan.modes if mode not in without]
    number = len(modes)
    return msgspec.structs.replace(
        plan,
        modes=modes,
        repetitions=repetitions_for(number * (number - 1) // 2),
        bytes_budget=min(plan.bytes_budget, RUN_BYTES),
        first_bytes=min(plan.bytes_budget, SAMPLED_BYTES),
        counters=False,
    )


def refusals(plan: Plan, recorder: Recorder) -> dict[str, str]:
    """Modes that cannot be done here, with the reason; each is tried with a few messages.

    Raises:
        Interrupted: by SIGINT.
        NettraceError: none of them can be done: why the last one cannot.
    """
    found: dict[str, str] = {}
    for mode in plan.modes:
        try:
            recorder(_trial(plan, mode), False)
        except Interrupted:
            raise
        except NettraceError as error:
            found[mode] = f"{error.what}: {error.why}"
            if len(found) == len(plan.modes):
                raise
    return found


def _trial(plan: Plan, mode: str) -> Experiment:
    settings = {name: getattr(plan, name) for name in Settings.__struct_fields__}
    return Experiment(
        mode=mode, size=plan.sizes[0], threads=plan.threads[0], messages=_TRIED_MESSAGES, link=plan.link,
        peer=plan.peer, lab=plan.lab, setup=plan.setup, **settings,
    )  # fmt: skip
