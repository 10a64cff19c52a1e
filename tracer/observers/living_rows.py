"""Rows of sockets that live: iterated where they are in the sockets' storage, else looked up in a map."""

from __future__ import annotations

import threading
import time
from typing import Protocol

from tracer.books.row_table import RowTable
from tracer.books.socket_rows import ROW_BYTES, cookie_of, offset_of
from tracer.observers import loading
from tracer.observers.maps import Maps

_ENDED = offset_of("ended")
_GRACE_S = 1.0


class LivingRows(Protocol):
    """Where the rows of sockets are."""

    def read(self) -> RowTable:
        """Those of the moment, with what TCP says of each."""

    def forget(self, row: bytes) -> None:
        """One has ended, and its row has come."""


class StoredRows:
    """In the sockets' storage, which goes with them.

    Args:
        iterator: Descriptor of the program on_living.
        rows: Of the storage.
    """

    def __init__(self, iterator: int, rows: int) -> None:
        self._iterator, self._rows = iterator, rows

    def read(self) -> RowTable:
        """Those of the moment.

        Raises:
            Refusal: the kernel does not iterate.
        """
        return RowTable(loading.iterate_map(self._iterator, self._rows))

    def forget(self, row: bytes) -> None:
        """Its socket takes it along."""


class RowsApart:
    """In a map by cookie, where they stay: who has ended is removed, when no program can be at work on it any more.

    Args:
        maps: With rows_apart.
        asker: Descriptor of the program on_asked.
    """

    def __init__(self, maps: Maps, asker: int) -> None:
        self._maps, self._asker = maps, asker
        # Whoever goes through the map loses the place where the element that it stands at is removed.
        self._lock = threading.Lock()
        self._over: dict[bytes, float] = {}

    def read(self) -> RowTable:
        """Those of the moment."""
        with self._lock:
            self._remove(time.monotonic() - _GRACE_S)
            found = [self._asked(cookie) for cookie in self._maps.keys("rows_apart") if cookie not in self._over]
            # Their rows are on the way, or found no room there.
            self._over |= {cookie_of(row): time.monotonic() for row in found if row[_ENDED]}
        return RowTable(b"".join(row for row in found if not row[_ENDED]))

    def _asked(self, cookie: bytes) -> bytes:
        loading.run(self._asker, int.from_bytes(cookie, "little"))
        (value,) = self._maps.values("rows_apart", cookie)
        return value[:ROW_BYTES]

    def _remove(self, before: float) -> None:
        for cookie in [cookie for cookie, at in self._over.items() if at < before]:
            self._maps.remove("rows_apart", cookie)
            del self._over[cookie]

    def forget(self, row: bytes) -> None:
        """One has ended, and its row has come."""
        with self._lock:
            self._over[cookie_of(row)] = time.monotonic()
