"""What was counted of the sockets of a cgroup, as bpf/sockets.bpf.c counts it."""

from __future__ import annotations

from dataclasses import dataclass, field

from tracer.books.socket_rows import Row


@dataclass
class Watched:
    """What was counted.

    Args:
        ended: Rows of sockets that have ended, as many as are listed.
        living: Rows of those that live on.
        totals: Counters over the sockets that have ended, whatever became of their rows.
        notified: Cookie -> io_uring notifications, and those with the flag "copied".
        deferred: (cookie, calling function) -> events and bytes; None where the function cannot be probed.
        sizes: Way -> histogram.
        samples: Time (CLOCK_MONOTONIC, ns) and counters over all sockets, once a second.
        unix: (Process, its command name, way) -> calls on Unix sockets, and bytes.
        unix_lost: Calls on Unix sockets that could not be kept.
        cost: Runs of our programs, their time in ns, and for how long in seconds these were counted; None where the
            kernel does not count for this user.
        cgroups: Id -> path of the cgroups below the one that is watched; that one is not among them.
        skipped: Program -> times the kernel did not run it; None where it does not tell.
        programs_per_hook: Where it is more than one, skipped is how often the kernel ran none of them, at most.
        names_receivers: A packet that is dropped comes with the socket that was to get it (since 6.11).
        optmem_bytes: What the kernel charges a watched socket's optmem with; None where that is not known.
    """

    ended: list[Row]
    living: list[Row]
    totals: dict[str, int]
    fates: dict[str, int]
    notified: dict[int, tuple[int, int]]
    deferred: dict[tuple[int, str], tuple[int, int]] | None
    sizes: dict[str, list[int]]
    attached: list[str]
    refused: dict[str, str]
    skipped: dict[str, int] | None = None
    programs_per_hook: int = 1
    samples: list[tuple[int, dict[str, int]]] = field(default_factory=list)
    unix_lost: int = 0
    unix: dict[tuple[int, str, str], tuple[int, int]] = field(default_factory=dict)
    cost: tuple[int, int, float] | None = None
    cgroups: dict[int, str] = field(default_factory=dict)
    unlisted: int = 0
    calls: str = "none"
    names_receivers: bool = True
    optmem_bytes: int | None = None

    @property
    def lost(self) -> int:
        """Rows that could not be made, and those that were made and neither ended nor live.

        One that ended and could not be sent is in the totals: it is not listed, and not lost.
        """
        adrift = self.fates["made"] - self.fates["ended"] - len(self.living)
        return self.fates["not_made"] + max(0, adrift)
