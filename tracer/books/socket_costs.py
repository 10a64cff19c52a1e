"""Where a program's CPU time went, by stage, while it was watched; what the watching took of it. Pure."""

from __future__ import annotations

from collections import Counter as Counting
from collections.abc import Mapping

import msgspec

from tracer.books.stages import stage_costs
from tracer.model import CpuProfile, StageCost

# Our own programs, which stand in the stacks that they are called from.
WATCHING = "watching"
_OUR_OWN = ("bpf_prog_", "bpf_trampoline_", "__bpf_prog_", "bpf_trace_run", "__bpf_trace")


def profile_of(folded: Mapping[str, int], lost: int, period_ns: int, moved_bytes: int, elapsed_s: float) -> CpuProfile:
    """The profile of sampled stacks.

    Args:
        folded: "command;user|kernel;outermost;...;innermost" -> samples.
        moved_bytes: What was sent and read, which the cost of a byte is of.
    """
    total = sum(folded.values())
    ours = Counting({stack: count for stack, count in folded.items() if is_ours(stack)})
    stages = stage_costs({stack: count for stack, count in folded.items() if stack not in ours}, period_ns, moved_bytes)
    if ours:
        stages.append(_watching(ours, period_ns, moved_bytes))
    shared = [msgspec.structs.replace(cost, share=cost.samples / total) for cost in stages]
    return CpuProfile(
        event="cpu-clock",
        period_ns=period_ns,
        samples=total,
        stages=sorted(shared, key=lambda cost: -cost.samples),
        payload_bytes=moved_bytes,
        elapsed_s=elapsed_s,
        folded=dict(folded),
        lost=lost,
    )


def is_ours(stack: str) -> bool:
    """Whether a sample hit a program of nettrace, or what calls it."""
    return any(frame.startswith(_OUR_OWN) for frame in stack.split(";")[2:])


def _watching(ours: Counting[str], period_ns: int, moved_bytes: int) -> StageCost:
    return StageCost(
        stage=WATCHING,
        samples=ours.total(),
        share=0.0,
        ns_per_byte=ours.total() * period_ns / moved_bytes if moved_bytes else None,
        functions={"nettrace's own programs": ours.total()},
    )
