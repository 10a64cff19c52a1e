"""Where a workload's payload was copied, inferred from what packets are made of: its sockets' rows, and its link.

It needs no function probe, so it works where kprobes and fentry are forbidden: the rows of record, in the workload's
own cgroup, without the calls, which its engine counts.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from socket import IPPROTO_TCP

import msgspec

from tracer.books.drops import POINT as DROP
from tracer.books.row_tallies import PLACES, tallies_of
from tracer.books.silent_skips import silent_skips
from tracer.books.socket_rows import COUNTERS, Row, decode_row
from tracer.books.tallies import total
from tracer.books.tracepoint_rows import Point
from tracer.machine.kernel.btf import Btf
from tracer.model import Observation
from tracer.model.watching import BY_ENGINE
from tracer.observers import drops
from tracer.observers.flow import Flow
from tracer.observers.maps import Maps
from tracer.observers.prepared import Prepared
from tracer.observers.socket_counts import SocketCounts
from tracer.observers.socket_hooks import Plan, of_a_workload
from tracer.observers.socket_programs import SocketPrograms, image_of
from tracer.observers.watched import Watched

DEFINES: dict[str, int | str] = {"NT_POINTS": ",".join(Point.__members__), **drops.DEFINES}
_ON_THE_WAY = (Point.EGRESS, Point.AGAIN, Point.PARTLY_AGAIN, Point.XMIT, Point.XMIT_UNOWNED)
_ARRIVED = (Point.INGRESS, Point.COPY_OUT)
# What is no place of its own: packets that were dropped, and what the driver did with one.
_BESIDE = dict.fromkeys((DROP, "net_dev_xmit"), "tracepoint")
_CGROUP_POINTS = frozenset({Point.EGRESS, Point.INGRESS})
_DRAIN_S, _LOOK_S = 1.0, 0.01
_TALLY, _DROP = struct.Struct("<QQQ"), struct.Struct("<II")


def plan_of(*, leaves_machine: bool, calls: bool = False, records: bool = False) -> Plan:
    """What is asked of a workload's sockets and link."""
    return of_a_workload(
        tuple(f"-D{name}={value}" for name, value in DEFINES.items()),
        leaves_machine=leaves_machine,
        calls=calls,
        records=records,
    )


class TracepointObserver:
    """Compiles at once, and counts between attach() and detach() the sockets of the flow's cgroup.

    Args:
        calls: Their calls too, by way, as record does.
    """

    name = "tracepoints"

    def __init__(self, flow: Flow, prepared: Prepared | None = None, *, calls: bool = False) -> None:
        self._flow, self._calls = flow, calls
        self.watched: Watched | None = None
        self._plan = plan_of(leaves_machine=flow.leaves_machine, calls=calls, records=flow.transport == "tls")
        self._image = image_of(self._plan, Btf.of_running_kernel(), prepared=prepared)
        self._programs: SocketPrograms | None = None

    def attach(self) -> None:
        """Start to count.

        Raises:
            PrivilegeError: the kernel refuses this user.
            MachineError: a tracepoint or the cgroup is missing.
        """
        self.close()
        flow = {"flows": self._flow.watched()}
        self._programs = SocketPrograms(self._flow.cgroup, self._plan, flow, self._image)
        self._programs.attach()

    def detach(self) -> Observation:
        """Stop to count; what was counted."""
        assert self._programs is not None, "not attached"
        _wait_for_ends(self._programs.maps)
        self._programs.detach()
        rows = _rows(self._programs.maps)
        seen, self.watched = self._seen(self._programs, rows), self._watched(self._programs, rows)
        self.close()
        return msgspec.structs.replace(seen, lost=total(seen.lost, silent_skips(seen)))

    def _seen(self, programs: SocketPrograms, rows: list[Row]) -> Observation:
        maps, skipped = programs.maps, programs.skipped()
        passed = [_sums(maps.element("tallies", at)) for at in range(len(PLACES))]
        points = (*_ON_THE_WAY, *(() if self._flow.leaves_machine else _ARRIVED))
        lost = SocketCounts(maps).fates()["not_made"] + int.from_bytes(maps.element("drops_lost", 0)[0], "little")
        return Observation(
            observer="tracepoints",
            tallies={**tallies_of(rows, passed, points), **drops.tallies_of_drops(_drops(maps))},
            attached={**{str(point): _way(point) for point in points if ":" not in point}, **_BESIDE},
            lost=total(None if skipped is None else sum(skipped.values()), lost),
        )

    def _watched(self, programs: SocketPrograms, rows: list[Row]) -> Watched:
        """Its sockets, in the terms of record; all rows are there, so that none is in the totals alone."""
        ended = [row for row in rows if row.number("ended")]
        return Watched(
            ended=ended,
            living=[row for row in rows if not row.number("ended")],
            totals={name: sum(row.counters[name] for row in ended) for name in COUNTERS},
            fates=SocketCounts(programs.maps).fates(),
            notified={},
            deferred=None,
            sizes={},
            attached=programs.attached,
            refused=programs.refused,
            skipped=programs.skipped(),
            calls=programs.calls if self._calls else BY_ENGINE,
            names_receivers=programs.names_receivers,
        )

    def close(self) -> None:
        """Free the programs; safe to call twice."""
        if self._programs is not None:
            self._programs.close()
            self._programs = None


def _wait_for_ends(maps: Maps) -> None:
    """A connection that both ends have closed ends a moment later; one that does not is told of as it is.

    Datagrams have no such end: who has closed their sockets has ended.
    """
    deadline = time.monotonic() + _DRAIN_S
    while any(map(_goes_on, _rows(maps))) and time.monotonic() < deadline:
        time.sleep(_LOOK_S)


def _goes_on(row: Row) -> bool:
    return row.number("protocol") == IPPROTO_TCP and not row.number("ended")


def _rows(maps: Maps) -> list[Row]:
    return [decode_row(value) for _, value in maps.items("rows_apart")]


def _sums(cells: list[bytes]) -> tuple[int, int, int]:
    """Over all CPUs."""
    events, size, pages = map(sum, zip(*map(_TALLY.unpack, cells), strict=True))
    return events, size, pages


def _drops(maps: Maps) -> Iterator[tuple[int, int, int, int]]:
    """Reason, index of the place, events, bytes."""
    for key, value in maps.items("drops"):
        events, size, _ = _TALLY.unpack(value)
        yield (*_DROP.unpack(key), events, size)


def _way(point: Point) -> str:
    return "cgroup" if point in _CGROUP_POINTS else "tracepoint"
