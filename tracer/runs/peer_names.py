"""Names the processes at the other ends of a program's sockets, as they come by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec

from tracer.books.row_table import RowTable
from tracer.books.socket_rows import Row
from tracer.books.ways import PROTOCOLS, endpoint
from tracer.machine.peers import Ends, Process, find_peers
from tracer.model.sockets import Socket

# A connection whose other end is nobody's, or of a process that may not be looked into, is not looked for for ever.
_MOST_LOOKS = 3
_LOOKED_FOR = ("tcp", "udp")


class PeerNames:
    """Found while the connections live; who listens is found when they have ended, too.

    Args:
        netns: Inode of the network namespace that is looked into.
    """

    def __init__(self, netns: int) -> None:
        self.netns = netns
        self._found: dict[Ends, Process] = {}
        self._looks: dict[Ends, int] = {}
        self._times: Counter[bytes] = Counter()

    def look_at(self, living: RowTable) -> None:
        """The same, of rows that are decoded only while there is something new among them."""
        ends = living.ends()
        if any(self._times[one] < _MOST_LOOKS for one in ends):
            self._times.update(ends)
            self.look(living.rows())

    def look(self, rows: Iterable[Row]) -> None:
        """Look for the other ends of these."""
        ends = {one for row in rows if row.number("netns") == self.netns and (one := _ends(row)) is not None}
        # Where both ends are the program's own, both are among the rows.
        other_ends = {one for one in ends if one._replace(local=one.peer, peer=one.local) not in ends}
        self._look_for(other_ends - self._found.keys())

    def _look_for(self, unknown: set[Ends]) -> None:
        wanted = {one for one in unknown if self._looks.get(one, 0) < _MOST_LOOKS}
        if not wanted:
            return
        self._found |= find_peers(wanted)
        for one in wanted:
            self._looks[one] = self._looks.get(one, 0) + 1

    def named(self, socket: Socket) -> Socket:
        """The same socket, with the process at its other end if that was found."""
        process = self._found.get(Ends(socket.protocol, socket.local, socket.peer)) if socket.netns is None else None
        if process is None:
            return socket
        return msgspec.structs.replace(socket, peer_pids=[process.pid], peer_comm=process.comm)


def _ends(row: Row) -> Ends | None:
    """None of a socket that has no peer, or of a protocol that is not looked for."""
    protocol = PROTOCOLS.get(row.number("protocol"), "")
    if not row.number("peer_port") or protocol not in _LOOKED_FOR:
        return None
    # Who connected, and has gone, cannot be found any more; who was connected to may still listen.
    if row.number("accepted") and row.number("ended"):
        return None
    return Ends(protocol, endpoint(row, "local"), endpoint(row, "peer"))
