"""All modes of this machine side by side: those that it can do, and a plan that is short enough to be waited for."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from tracer.errors import Interrupted, NettraceError
from tracer.model import Recording
from tracer.study.intervals import repetitions_for
from tracer.study.measurements import cpu_spent
from tracer.study.sweep import Recorder
from tracer.study.sweep_plan import Plan
from tracer.study.trials import tried

# Payload of one run, so that all of them together take less than a minute; small messages cost as much CPU time each.
RUN_BYTES, RUN_MESSAGES = 16 << 20, 8192
# The first one of a mode is sampled, and wants a hundred samples, of 0.5 ms each: thrice as much CPU time, because a
# trial begins with cold caches. More payload than that no mode has needed.
SAMPLED_NS, SAMPLED_BYTES = 150_000_000, 160 << 20
_TRIED_BYTES, _TRIED_MESSAGES = 2 << 20, 3


class Tried(NamedTuple):
    """What trying each mode has shown.

    Args:
        refused: Why it cannot be done, of those that cannot.
        sampled: Payload that takes as much CPU time as sampling wants, of the others, bytes; not in the lab.
    """

    refused: dict[str, str]
    sampled: dict[str, int]


def plan_of_all(plan: Plan, tried: Tried) -> Plan:
    """The same with little work a run, and with as many repetitions as it takes to tell any two modes apart."""
    modes = [mode for mode in plan.modes if mode not in tried.refused]
    number, budget = len(modes), min(plan.bytes_budget, RUN_BYTES, RUN_MESSAGES * plan.sizes[0])
    return msgspec.structs.replace(
        plan,
        modes=modes,
        repetitions=repetitions_for(number * (number - 1) // 2),
        bytes_budget=budget,
        sampled_bytes={mode: max(budget, min(sampled, plan.bytes_budget)) for mode, sampled in tried.sampled.items()},
        counters=False,
    )


def try_all(plan: Plan, recorder: Recorder) -> Tried:
    """Each mode is tried with a few messages.

    Raises:
        Interrupted: by SIGINT.
        NettraceError: none of them can be done: why the last one cannot.
    """
    found = Tried({}, {})
    for mode in plan.modes:
        try:
            done = tried(plan, mode, recorder, _messages(plan))
        except Interrupted:
            raise
        except NettraceError as error:
            found.refused[mode] = f"{error.what}: {error.why}"
            if len(found.refused) == len(plan.modes):
                raise
        else:
            if plan.lab is None:
                found.sampled[mode] = _sampled_bytes(done)
    return found


def _sampled_bytes(found: Recording) -> int:
    """Where its CPU time is not known, as much as any mode needs."""
    bare = found.workload
    spent = cpu_spent(bare.sender_cpu_ns, bare.receiver_cpu_ns) if bare is not None else None
    if bare is None or not spent:
        return SAMPLED_BYTES
    return min(SAMPLED_BYTES, round(SAMPLED_NS * bare.payload_bytes / spent))


def _messages(plan: Plan) -> int:
    return _TRIED_MESSAGES if plan.lab is not None else max(_TRIED_MESSAGES, _TRIED_BYTES // plan.sizes[0])
