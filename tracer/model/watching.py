"""Whose sockets are watched, when, and how the kernel is asked: the words that all recordings begin with."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from tracer.model.sockets import Count

# How calls were seen: at the return of functions; of a workload of ours whose calls were not watched, by its engine.
BY_FUNCTIONS, BY_ENGINE = "fexit", "engine"


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """Whose sockets were watched.

    Args:
        kind: A workload of ours (nettrace run), a command that was started (record), processes that ran already, or
            those of a cgroup (attach).
        argv: What was started; of what ran already, what it is called.
        exit_status: Exit code, or minus the signal's number; None where it had not ended.
        left_running: Descendants that went on when the watching ended.
        user: User id that the command ran as, or the first of the processes that ran already; None where none did.
        other_users: Of the others of these, where it differs.
    """

    kind: Literal["workload", "command", "processes", "cgroup"]
    argv: Annotated[list[str], msgspec.Meta(min_length=1)]
    pids: list[int]
    exit_status: int | None
    user: Count | None
    other_users: list[Count] = []
    left_running: list[int] = []
    inherited_sockets: list[str] = []

    @property
    def ran_already(self) -> bool:
        """Whether nobody started it for this."""
        return self.kind in ("processes", "cgroup")


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """When was watched.

    Args:
        started: ISO 8601, in UTC.
    """

    started: str
    elapsed_s: float


class WatchingCost(msgspec.Struct, frozen=True, kw_only=True):
    """What nettrace's own programs took, by the kernel's count (BPF_ENABLE_STATS), which itself is among it.

    Args:
        runs: While it was counted.
        spent_ns: CPU time of these, of all CPUs.
        counted_s: For how long: a tenth of the time, in turns of 20 ms.
    """

    runs: Count
    spent_ns: Count
    counted_s: float

    @property
    def cpus(self) -> float | None:
        """How many CPUs it kept busy; None where nothing was counted."""
        return self.spent_ns / 1e9 / self.counted_s if self.counted_s else None


class Hooks(msgspec.Struct, frozen=True, kw_only=True):
    """How this kernel was asked, and what it refused.

    Args:
        calls: What tells calls and their way: "fexit", "tracepoint+registers", "engine" of a workload of ours whose
            calls were not watched, or "none".
        attached: Names of all probe points that were attached.
        refused: Name -> why not.
        skipped: Program -> times the kernel did not run it, because it ran already on that CPU; None where it does
            not tell.
        programs_per_hook: More than one where this kernel preempts itself: skipped is how often it ran none of them, at
            most. What it skipped of sockets that are not watched is in it.
        row_bytes: Memory of one row.
        optmem_bytes: What watching takes of a socket's optmem, the budget of its zero-copy notifications; None where
            that is not known.
        cost: What watching took; None where this user may not count it.
    """

    calls: str
    attached: list[str]
    refused: dict[str, str]
    row_bytes: Count
    optmem_bytes: Count | None = None
    skipped: dict[str, int] | None = None
    programs_per_hook: Count = 1
    cost: WatchingCost | None = None
