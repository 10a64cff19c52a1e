"""Rows of sockets that live, where the kernel lets nobody go through what is stored in sockets: they are in a map."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from typing import cast

import pytest

from tests.observers.test_sockets import TO_ITSELF
from tracer.books.socket_rows import ROW_BYTES, offset_of
from tracer.machine.cgroups import open_cgroup
from tracer.observers import living_rows, loading
from tracer.observers.living_rows import RowsApart
from tracer.observers.maps import Maps
from tracer.observers.socket_programs import SocketPrograms
from tracer.observers.sockets import SocketObserver

LIVES_ON = (
    TO_ITSELF
    + """
import sys
print(flush=True)
sys.stdin.read()
"""
)


def row(cookie: int, *, ended: bool = False) -> bytes:
    data = bytearray(ROW_BYTES)
    data[offset_of("cookie")] = cookie
    data[offset_of("ended")] = ended
    return bytes(data)


class Table:
    """A map of rows, with what stands behind each for the kernel side alone."""

    def __init__(self, *rows: bytes) -> None:
        self.rows = {one[offset_of("cookie") : offset_of("cookie") + 8]: one + bytes(8) for one in rows}

    def keys(self, _name: str) -> list[bytes]:
        return list(self.rows)

    def values(self, _name: str, key: bytes) -> list[bytes]:
        return [self.rows[key]]

    def remove(self, _name: str, key: bytes) -> None:
        del self.rows[key]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Cookies of the sockets that TCP was asked about."""
    found: list[int] = []
    monkeypatch.setattr(loading, "run", lambda _program, cookie: found.append(cookie))
    return found


def test_each_is_asked_about_and_read(asked: list[int]) -> None:
    """Without what stands behind it."""
    table = Table(row(7), row(9))

    assert RowsApart(cast(Maps, table), 0).read().each() == [row(7), row(9)]
    assert asked == [7, 9]


def test_who_has_ended_is_removed_when_nobody_can_be_at_work_on_it(
    asked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One whose row has come, and one whose row found no room on its way; not at once."""
    table = Table(row(5, ended=True), row(7), row(9, ended=True))
    rows = RowsApart(cast(Maps, table), 0)
    rows.forget(row(5, ended=True))

    assert rows.read().each() == [row(7)]
    assert asked == [7, 9]
    assert len(table.rows) == 3

    monkeypatch.setattr(living_rows, "_GRACE_S", -1.0)

    assert rows.read().each() == [row(7)]
    assert list(table.rows.values()) == [row(7) + bytes(8)]


@pytest.mark.live
def test_rows_in_a_map_are_as_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of sockets that live, with what TCP says of them, and of those that have ended."""
    monkeypatch.setattr(SocketPrograms, "_can_iterate", lambda *_: False)
    monkeypatch.setattr(living_rows, "_GRACE_S", -1.0)
    with open_cgroup() as cgroup, contextlib.closing(SocketObserver()) as observer:
        observer.attach(cgroup)
        command = ["sh", "-c", 'echo $$ >$0/cgroup.procs; exec $1 -c "$2"', cgroup, sys.executable, LIVES_ON]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            living = observer.so_far().living
            process.communicate(timeout=60)
        observer.drain(10)
        found = observer.finish()
        left = list(observer.programs.maps.keys("rows_apart"))

    told = sorted((row.counters["sent_copy_bytes"], row.counters["tcp_sent"]) for row in living)
    assert told == [(0, 0), (23 * 1009, 23 * 1009)]
    assert [found.fates[fate] for fate in ("made", "ended", "not_made")] == [2, 2, 0]
    assert (found.totals["sent_copy_bytes"], found.totals["copied_out"]) == (23 * 1009, 23 * 1009)
    assert (found.living, left) == ([], [])
