"""Connections that cannot be marked, where the kernel refuses iterators: what TCP itself says of them meanwhile."""

from __future__ import annotations

from collections.abc import Iterable

from tracer.books.attach_findings import Uncounted
from tracer.machine.sock_diag import connections_of


class UncountedConnections:
    """From its making to end().

    Args:
        pids: Whose.
    """

    def __init__(self, pids: Iterable[int]) -> None:
        self._before = connections_of(pids)

    def end(self, pids: Iterable[int], counted: set[int], why: str) -> Uncounted:
        """What they have moved since.

        Args:
            counted: Cookies of sockets that have a row.
        """
        now = {cookie: one for cookie, one in connections_of(pids).items() if cookie not in counted}
        before = [self._before.get(cookie) for cookie in now]
        return Uncounted(
            connections=len(now),
            ended=len(self._before.keys() - now.keys() - counted),
            sent=sum(one.sent for one in now.values()) - sum(one.sent for one in before if one),
            received=sum(one.received for one in now.values()) - sum(one.received for one in before if one),
            why=why,
        )
