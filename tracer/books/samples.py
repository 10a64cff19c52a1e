"""Sampled stacks and the workload's among them, folded. Pure."""

from __future__ import annotations

from collections import Counter as Counting
from collections.abc import Iterable
from typing import NamedTuple

from tracer.books.stages import plain_name

# In whose context a CPU was; the members of `enum context` of bpf/sampler.bpf.c, in this order.
CONTEXTS = ("sender", "receiver", "softirq")
# Before 6.11 handle_softirqs() was __do_softirq().
_SOFTIRQ = frozenset({"handle_softirqs", "__do_softirq"})
# BPF programs and their trampolines: whoever traces, and not what is traced. Each has an address in its name's place.
_TRACERS = ("bpf_prog_", "bpf_trampoline_")


class Sample(NamedTuple):
    """A stack that was sampled, and how often.

    Args:
        context: Index into CONTEXTS.
        frames: Function names, innermost first; in user mode two at most.
    """

    context: int
    user: bool
    frames: list[str]
    times: int


def without_tracers(frames: Iterable[str]) -> list[str]:
    """A stack without the programs that looked at it, which would split stacks that are equal.

    What returns through a trampoline stands on both sides of it; it is kept once.
    """
    kept: list[str] = []
    beside_tracer = False
    for frame in frames:
        if frame.startswith(_TRACERS):
            beside_tracer = True
            continue
        if not (beside_tracer and kept[-1:] == [frame]):
            kept.append(frame)
        beside_tracer = False
    return kept


def fold(samples: Iterable[Sample]) -> dict[str, int]:
    """Folded stacks of the samples that are the workload's: context;user|kernel;outermost;...;innermost."""
    folded: Counting[str] = Counting()
    for sample in samples:
        names = [plain_name(frame) for frame in without_tracers(sample.frames)]
        if CONTEXTS[sample.context] == "softirq" and not _is_tcp_softirq(names):
            continue
        mode = "user" if sample.user else "kernel"
        folded[";".join([CONTEXTS[sample.context], mode, *names[::-1]])] += sample.times
    return dict(folded.most_common())


def _is_tcp_softirq(frames: list[str]) -> bool:
    """Inside of TCP, in a softirq that no process's own system call started; frames innermost first."""
    softirq = next((index for index, frame in enumerate(frames) if frame in _SOFTIRQ), None)
    if softirq is None or frames[softirq + 1 : softirq + 2] == ["do_softirq"]:
        return False
    return any(frame.startswith(("tcp_", "__tcp_")) for frame in frames[:softirq])
