"""Which stage of the work a CPU sample falls into, told by its stack. Pure; the table is tracer/books/stage_table.py.

A stack is read from its innermost frame outwards, and the first frame that the table gives a stage decides. A row
without a stage is a helper that serves many stages, or a place where a sample slid to: it is folded into its caller.
The clock that samples where there is no hardware counter cannot interrupt a region with interrupts off, so what such a
region cost is charged to the instruction that enables them again, often in _raw_spin_unlock_irqrestore().

"Unmapped" is a stack of which no frame has a stage, or only the system call's entry with a stranger further in.
"""

from __future__ import annotations

import re
from collections import Counter as Counting
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import NamedTuple

from tracer.books.stage_table import TABLE, Row, Work
from tracer.model import StageCost

UNMAPPED = "unmapped"


class Cost(NamedTuple):
    """Where a sample belongs, and by which function."""

    work: str
    function: str


_COMPILER_SUFFIX = re.compile(r"\.(isra|constprop|part|cold|llvm|lto_priv)(\.\d+)?.*$")


def plain_name(symbol: str) -> str:
    """A function's name without what the compiler appended to it."""
    return _COMPILER_SUFFIX.sub("", symbol) or symbol


@cache
def _rows_of(function: str) -> tuple[Row, ...]:
    """Rows that fit a name, those with a condition first, then the longest fit first."""
    fits = []
    for row in TABLE:
        lengths = [len(pattern) for pattern in row.functions.split() if _fits(pattern, function)]
        if lengths:
            fits.append((bool(row.below or row.caller or row.context), max(lengths), row))
    return tuple(row for *_, row in sorted(fits, key=lambda fit: fit[:2], reverse=True))


def _fits(pattern: str, function: str) -> bool:
    return function.startswith(pattern[:-1]) if pattern.endswith("*") else function == pattern


def row_of(function: str, callers: Sequence[str], context: str = "") -> Row | None:
    """The table's row for a frame, given the frames further out; None if it has none."""
    return next((row for row in _rows_of(function) if _holds(row, callers, context)), None)


def _holds(row: Row, callers: Sequence[str], context: str) -> bool:
    if row.below and not any(name in callers for name in row.below.split()):
        return False
    if row.caller and row.caller != (callers[0] if callers else None):
        return False
    return row.context in ("", context)


def cost_of_kernel_stack(frames: Iterable[str], context: str = "") -> Cost:
    """Stage of a sample in kernel mode; frames innermost first."""
    names = [plain_name(frame) for frame in frames]
    strangers = False
    for index, name in enumerate(names):
        row = row_of(name, names[index + 1 :], context)
        if row is None:
            strangers = True
        elif row.work is Work.SYSTEM_CALL and strangers:
            break
        elif row.work is not None:
            return Cost(row.work, name)
    return Cost(UNMAPPED, names[0] if names else "?")


def cost_of_user_stack(frames: Sequence[str]) -> Cost:
    """Stage of a sample in user mode; frames innermost first, two at most."""
    for frame in frames:
        row = row_of(plain_name(frame), ())
        if row is not None and row.work is Work.USER_PACK:
            return Cost(row.work, plain_name(frame))
    return Cost(Work.OTHER_USER, frames[0] if frames else "?")


def cost_of_folded(stack: str) -> Cost:
    """Stage of a folded stack: context;user|kernel;outermost;...;innermost."""
    context, mode, *frames = stack.split(";")
    innermost_first = frames[::-1]
    return cost_of_user_stack(innermost_first) if mode == "user" else cost_of_kernel_stack(innermost_first, context)


def stage_costs(folded: Mapping[str, int], period_ns: int, payload_bytes: int) -> list[StageCost]:
    """Cost by stage, most expensive first; ns_per_byte is None where nothing was sent."""
    samples: dict[str, Counting[str]] = {}
    for stack, count in folded.items():
        cost = cost_of_folded(stack)
        samples.setdefault(cost.work, Counting())[cost.function] += count
    total = sum(folded.values())
    costs = [
        StageCost(
            stage=str(work),
            samples=functions.total(),
            share=functions.total() / total,
            ns_per_byte=functions.total() * period_ns / payload_bytes if payload_bytes else None,
            functions=dict(functions.most_common()),
        )
        for work, functions in samples.items()
    ]
    return sorted(costs, key=lambda cost: -cost.samples)


def unmapped_share(costs: Iterable[StageCost]) -> float:
    """Share of samples that the table has no stage for; 0 where there are none."""
    return next((cost.share for cost in costs if cost.stage == UNMAPPED), 0.0)
