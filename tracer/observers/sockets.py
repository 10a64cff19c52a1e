"""Watches the sockets of a cgroup: gathers rows as sockets end, and reads those that live on (bpf/sockets.bpf.c)."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tracer.books.row_table import RowTable
from tracer.books.socket_rows import ROW_BYTES, Row, cookie_of, decode_row, is_of_a_peer
from tracer.machine.cgroups import cgroups_below
from tracer.observers import loading
from tracer.observers.maps import RingBuffer
from tracer.observers.program_info import run_times
from tracer.observers.run_times import RunTimes
from tracer.observers.socket_counts import SocketCounts
from tracer.observers.socket_hooks import OF_A_PROGRAM, Plan
from tracer.observers.socket_programs import SocketPrograms
from tracer.observers.watched import Watched

_SAMPLE_S, _MOST_SAMPLES = 1.0, 3600
_POLL_MS, _MOST_POLL_S = 20, 0.2
_MOST_WALKS = 10
# Rows kept in memory; the rest is in the totals.
MOST_LISTED = 40_000


class Instant(NamedTuple):
    """What was counted until a moment.

    Args:
        at_ns: CLOCK_MONOTONIC.
        counters: Over all sockets of the subject.
        living: Rows of those that live.
    """

    at_ns: int
    counters: dict[str, int]
    living: RowTable


@dataclass
class SocketObserver:
    """Attached between attach() and close().

    Args:
        peers: Watch the other ends too, where these are on this machine.
        plan: What is asked of the sockets.
        elements: What arrays of the programs hold before anything is attached, by name.
        on_living: Is handed the rows of its sockets that live, once a second, in a thread of its own.
        on_instant: Is handed what was counted until then, after that and in that thread.
        ends_soon: This process ends when it has answered, and its end detaches all: see tracer.observers.prepared.
    """

    peers: bool = False
    plan: Plan = OF_A_PROGRAM
    elements: Mapping[str, bytes] = field(default_factory=dict)
    on_living: Callable[[RowTable], None] = lambda _rows: None
    on_instant: Callable[[Instant], None] | None = None
    ends_soon: bool = False
    samples: list[tuple[int, dict[str, int]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._undo = contextlib.ExitStack()
        self._rows: list[bytes] = []
        self._unlisted = 0
        self._stop = threading.Event()
        self._progress = threading.Condition()
        self._run_times = RunTimes()
        self._thread: threading.Thread | None = None

    def attach(self, cgroup: Path) -> None:
        """Compile, load and attach; from here on everything is counted.

        Raises:
            PrivilegeError: the kernel refuses this user.
            MachineError: this kernel lacks what cannot be done without.
        """
        self._cgroup = cgroup
        self._programs = SocketPrograms(cgroup, self.plan, self.elements)
        self._undo.callback(self._programs.close)
        self._programs.attach(peers=self.peers)
        self._counts = SocketCounts(self._programs.maps)
        self._listen()

    @property
    def programs(self) -> SocketPrograms:
        """What it is attached with."""
        return self._programs

    def _listen(self) -> None:
        self._ring = RingBuffer(self._programs.maps.descriptor("ended_rows"), self._on_row)
        self._undo.callback(self._ring.close)
        self._thread = threading.Thread(target=self._gather, name="rows", daemon=True)
        self._thread.start()

    def _gather(self) -> None:
        due = time.monotonic() + _SAMPLE_S
        while not self._stop.is_set():
            self._run_times.tick()
            self._ring.poll(self._most_ms(due))
            if time.monotonic() >= due:
                due += _SAMPLE_S
                # For want of memory or of descriptors: a sample is missed, and rows are gathered all the same.
                with contextlib.suppress(loading.Refusal):
                    self._sample()

    def _most_ms(self, due: float) -> int:
        """To wait for rows: not long, because finish() waits for this; where somebody looks on, until the next task.

        To wake up costs as much as to sum 100 rows.
        """
        if self.on_instant is None:
            return _POLL_MS
        return math.ceil(1000 * min(_MOST_POLL_S, self._run_times.wanted_in_s(), max(0.0, due - time.monotonic())))

    def _sample(self) -> None:
        """One more, as many as are kept; and for whoever looks on, however long."""
        if len(self.samples) >= _MOST_SAMPLES and self.on_instant is None:
            return
        now = self.instant()
        # Who has ended before the living were read has a row by now: else it would be missing for a second.
        self._ring.consume()
        if len(self.samples) < _MOST_SAMPLES:
            self.samples.append((now.at_ns, now.counters))
        self.on_living(now.living)
        if self.on_instant is not None:
            self.on_instant(now)

    def instant(self) -> Instant:
        """Until now; a socket that ends meanwhile is in the next one."""
        at_ns, sums, living = time.monotonic_ns(), self._counts.totals(), self._read_living().own()
        for name, value in living.sums().items():
            sums[name] += value
        return Instant(at_ns, sums, living)

    def _on_row(self, data: bytes) -> None:
        with self._progress:
            if len(self._rows) < MOST_LISTED:
                self._rows.append(data[:ROW_BYTES])
            elif not is_of_a_peer(data):
                self._unlisted += 1
            self._progress.notify_all()
        self._programs.living.forget(data)

    def drain(self, most_s: float) -> None:
        """Wait until none of the sockets that live now does any more, or none of them has ended for so long."""
        # How many have come is asked first: who ends between the two is waited for in vain else.
        deadline, come, waited_for = time.monotonic() + most_s, self._come(), self._cookies()
        while waited_for and (left_s := deadline - time.monotonic()) > 0:
            self._wait_for_rows(come + len(waited_for), left_s)
            come, alive = self._come(), waited_for & self._cookies()
            if alive != waited_for:
                waited_for, deadline = alive, time.monotonic() + most_s

    def _cookies(self) -> set[int]:
        return set(self._read_living().own().column("cookie"))

    def _wait_for_rows(self, number: int, most_s: float) -> None:
        with self._progress:
            self._progress.wait_for(lambda: self._come() >= number, most_s)

    def _come(self) -> int:
        return len(self._rows) + self._unlisted

    def _read_living(self) -> RowTable:
        return self._programs.living.read()

    def ended_since(self, number: int) -> list[bytes]:
        """Rows that have come behind so many."""
        return self._rows[number:]

    @property
    def unlisted(self) -> int:
        """Sockets that have ended and are in the totals alone."""
        return self._unlisted + self._counts.fates()["not_sent"]

    def notified(self) -> dict[int, tuple[int, int]]:
        """io_uring's notifications, as in Watched."""
        return self._counts.notified()

    def finish(self) -> Watched:
        """Stop counting; all that was counted."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self._run_times.close()
        # Before the living are read: a row that is made after that is among neither these nor those.
        made = self._counts.fates()["made"]
        living = self._all_living(made)
        return self._watched(made, living, self._rows)

    def _all_living(self, made: int) -> list[Row]:
        """A row that is freed beneath the iterator may lead it past others: it is asked again while one is missing."""
        found: dict[bytes, bytes] = {}
        for _ in range(_MOST_WALKS):
            found.update((cookie_of(row), row) for row in self._read_living().each())
            self._ring.consume()
            ended = self._counts.fates()["ended"]
            if made <= ended + len(found.keys() - set(map(cookie_of, self._rows))):
                break
        return [decode_row(row) for row in found.values()]

    def so_far(self, *, rows: bool = True) -> Watched:
        """All that was counted until now; counting goes on.

        Args:
            rows: Those of the sockets, too.
        """
        if not rows:
            return self._watched(0, [], [])
        made = self._counts.fates()["made"]
        return self._watched(made, self._read_living().rows(), list(self._rows))

    def _watched(self, made: int, living: list[Row], ended: list[bytes]) -> Watched:
        listed = [decode_row(row) for row in ended]
        fates = {**self._counts.fates(), "made": made}
        seen = {row.number("cookie") for row in listed}
        return Watched(
            ended=listed,
            living=[row for row in living if row.number("cookie") not in seen],
            totals=self._counts.totals(),
            fates=fates,
            notified=self._counts.notified(),
            deferred=self._deferred(fates),
            sizes=self._counts.sizes(),
            attached=self._programs.attached,
            refused=self._programs.refused,
            skipped=self._programs.skipped(),
            programs_per_hook=self._programs.per_hook,
            unix=self._counts.unix(),
            unix_lost=fates["unnamed_unix"],
            cost=self._cost(),
            cgroups=cgroups_below(self._cgroup),
            samples=list(self.samples),
            unlisted=self._unlisted + fates["not_sent"],
            calls=self._programs.calls,
            names_receivers=self._programs.names_receivers,
            optmem_bytes=self._programs.optmem_bytes,
        )

    def _deferred(self, fates: dict[str, int]) -> dict[tuple[int, str], tuple[int, int]] | None:
        """None where nobody looked, or not all that was seen could be kept."""
        if fates["unnamed_copies"]:
            self._programs.refused["skb_copy_ubufs"] = "more sockets and callers than its table holds"
        whole = "skb_copy_ubufs" in self._programs.attached and not fates["unnamed_copies"]
        return self._counts.deferred() if whole else None

    def _cost(self) -> tuple[int, int, float] | None:
        if self._run_times.refused is not None:
            return None
        return (*run_times(self._programs.descriptors()), self._run_times.open_s)

    def close(self) -> None:
        """Detach and free everything."""
        self._stop.set()
        if self._thread is not None:
            # It reads the ring buffer, which goes next.
            self._thread.join()
        self._run_times.close()
        if not self.ends_soon:
            self._undo.close()


def own(rows: Iterable[Row]) -> list[Row]:
    """Those of the subject itself."""
    return [row for row in rows if not row.is_peer]
