"""The recording of what was counted of somebody's sockets, whoever they are of."""

from __future__ import annotations

import datetime
import functools
import platform
import socket as sockets
import time
from collections.abc import Callable
from typing import NamedTuple

from tracer.books.socket_rows import ROW_BYTES
from tracer.books.ways import Surroundings, deferred_by_cookie, read_by_way, sent_by_way, socket_of, totals_of
from tracer.machine.kernel.ticks import tick_s
from tracer.model import SCHEMA
from tracer.model.socket_recording import Sample, SocketRecording, UnixCalls
from tracer.model.sockets import Socket, Totals
from tracer.model.watching import BY_FUNCTIONS, Hooks, Subject, WatchingCost, Window
from tracer.observers.sockets import own
from tracer.observers.watched import Watched


def window_since(started: datetime.datetime, begin_ns: int) -> Window:
    """From a moment, by both clocks, until now."""
    elapsed_s = (time.monotonic_ns() - begin_ns) / 1e9
    return Window(started=started.isoformat(timespec="milliseconds"), elapsed_s=round(elapsed_s, 6))


def recording_of(
    watched: Watched, subject: Subject, window: Window, zero: tuple[float, int], named: Callable[[Socket], Socket]
) -> SocketRecording:
    """The recording of what was counted.

    Args:
        zero: Time of the first instruction, on the clock of the rows; the network namespace that goes without saying.
        named: Adds what is known of the other end.
    """
    rows = books_of(watched, zero, named)
    return SocketRecording(
        schema=SCHEMA,
        kernel=platform.release(),
        subject=subject,
        window=window,
        **rows._asdict(),
        unix_lost=watched.unix_lost,
        unix=_unix(watched),
        created_sockets=watched.fates["created"],
        sizes=watched.sizes,
        samples=_samples(watched, zero[0], rows.hooks.calls == BY_FUNCTIONS, window.elapsed_s),
    )


class Books(NamedTuple):
    """What the rows tell, of whatever subject: these are keys of its recording."""

    hooks: Hooks
    sockets: list[Socket]
    totals: Totals
    peers: list[Socket]
    unlisted_sockets: int
    lost: int


def books_of(watched: Watched, zero: tuple[float, int], named: Callable[[Socket], Socket]) -> Books:
    """The rows as sockets, and their sums; arguments as of recording_of()."""
    around = surroundings_of(watched, zero)
    rows = (*watched.ended, *watched.living)
    listed = [named(socket_of(row, around)) for row in own(rows)]
    peers = [socket_of(row, around) for row in rows if row.is_peer]
    notified, deferred = _without(peers, watched)
    sums = _counted(watched), listed, watched.unlisted > 0, around.by_functions, around.attached, deferred, notified
    return Books(_hooks(watched), listed, totals_of(*sums), peers, watched.unlisted, watched.lost)


def surroundings_of(watched: Watched, zero: tuple[float, int]) -> Surroundings:
    """What rows do not say of themselves; zero as in recording_of()."""
    zero_s, own_netns = zero
    return Surroundings(
        by_functions=watched.calls == BY_FUNCTIONS,
        attached=frozenset(watched.attached),
        notified=watched.notified,
        deferred=None if watched.deferred is None else deferred_by_cookie(watched.deferred),
        link=functools.cache(_link),
        cgroup=watched.cgroups.get,
        own_netns=own_netns,
        zero_s=zero_s,
        names_receivers=watched.names_receivers,
        tick_s=tick_s(),
    )


def _counted(watched: Watched) -> dict[str, int]:
    """Counters over all its sockets, those that live among them."""
    totals = dict(watched.totals)
    for row in own(watched.living):
        for name, value in row.counters.items():
            totals[name] += value
    return totals


def _hooks(watched: Watched) -> Hooks:
    return Hooks(
        calls=watched.calls,
        attached=watched.attached,
        refused=watched.refused,
        skipped=watched.skipped,
        programs_per_hook=watched.programs_per_hook,
        cost=None if watched.cost is None else _cost(*watched.cost),
        row_bytes=ROW_BYTES,
        optmem_bytes=watched.optmem_bytes,
    )


def _unix(watched: Watched) -> list[UnixCalls]:
    ordered = sorted(watched.unix.items(), key=lambda item: -item[1][1])
    return [
        UnixCalls(pid=pid, comm=comm, way=way, calls=calls, bytes=number)
        for (pid, comm, way), (calls, number) in ordered
    ]


def _samples(watched: Watched, zero_s: float, by_functions: bool, elapsed_s: float) -> list[Sample]:
    """Those of the window: on a slow machine attaching and detaching take seconds, and are sampled too."""
    found = [sample_of(at_ns, counters, zero_s, by_functions) for at_ns, counters in watched.samples]
    return [one for one in found if 0 <= one.t <= elapsed_s]


def sample_of(at_ns: int, counters: dict[str, int], zero_s: float, by_functions: bool) -> Sample:
    """What had moved at a moment."""
    return Sample(
        t=round(at_ns / 1e9 - zero_s, 3),
        sent={way: moved.bytes for way, moved in sent_by_way(counters, is_udp=False).items()},
        read={way: moved.bytes for way, moved in read_by_way(counters, by_functions).items()},
    )


def _cost(runs: int, spent_ns: int, counted_s: float) -> WatchingCost:
    return WatchingCost(runs=runs, spent_ns=spent_ns, counted_s=round(counted_s, 6))


def _without(
    peers: list[Socket], watched: Watched
) -> tuple[dict[int, tuple[int, int]], dict[tuple[int, str], tuple[int, int]] | None]:
    """Notifications and later copies of the subject's own sockets."""
    theirs = {socket.cookie for socket in peers}
    notified = {cookie: counts for cookie, counts in watched.notified.items() if cookie not in theirs}
    if watched.deferred is None:
        return notified, None
    return notified, {key: counts for key, counts in watched.deferred.items() if key[0] not in theirs}


def _link(index: int) -> str | None:
    try:
        return sockets.if_indextoname(index)
    except OSError:  # of another network namespace, or gone
        return None
