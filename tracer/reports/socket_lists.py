"""The sockets of a program: in groups, the busiest ones, those at the other ends, and Unix sockets."""

from __future__ import annotations

from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from tracer.books.groups import busiest, grouped, nameless
from tracer.model.socket_recording import SocketRecording
from tracer.model.sockets import Socket, Transfer
from tracer.model.watching import BY_FUNCTIONS
from tracer.reports.tables import make_table
from tracer.units import format_count


class View(NamedTuple):
    """How much is shown.

    Args:
        by: Name of a grouping.
        top: Sockets and groups; the rest is one row.
    """

    by: str = "program"
    top: int = 10


def groups_table(recording: SocketRecording, console: Console, view: View) -> Table:
    """Its sockets in groups; none where there is only one."""
    numbers = ("sockets", "sent", "read")
    table = make_table(console, f"by {view.by}", *numbers, "ways", right=numbers)
    groups = grouped(recording.sockets, view.by)
    if len(groups) < 2:
        return table
    for group in groups[: view.top]:
        _add_sockets(table, group.name, group.sockets)
    if rest := [socket for group in groups[view.top :] for socket in group.sockets]:
        _add_sockets(table, f"{len(groups) - view.top:,} more", rest)
    return table


def _add_sockets(table: Table, name: str, sockets: list[Socket]) -> None:
    sent, read = (sum(getattr(socket, figure) for socket in sockets) for figure in ("sent_bytes", "read_bytes"))
    ways = {f"send {way}" for socket in sockets for way in socket.sent} | {
        f"read {way}" for socket in sockets for way in socket.read
    }
    table.add_row(name, format_count(len(sockets)), format_count(sent), format_count(read), _ways(ways))


def _ways(ways: set[str]) -> str:
    return ", ".join(sorted(way.replace("_", " ") for way in ways))


def sockets_table(recording: SocketRecording, console: Console, view: View) -> Table:
    """The sockets that moved most, and the rest in one row."""
    numbers = ("sent", "read")
    table = make_table(console, "socket", *numbers, "by", "program", right=numbers)
    top, rest = busiest(recording.sockets, view.top)
    for socket in top:
        table.add_row(
            name_of(socket),
            format_count(socket.sent_bytes),
            format_count(socket.read_bytes),
            ways_of(socket),
            who_of(socket),
        )
    if rest or recording.unlisted_sockets:
        sent = recording.totals.sent_bytes - sum(socket.sent_bytes for socket in top)
        read = recording.totals.read_bytes - sum(socket.read_bytes for socket in top)
        more = len(rest) + recording.unlisted_sockets
        table.add_row(f"{more:,} more", format_count(sent), format_count(read), "", "")
    return table


def watched_peers_table(recording: SocketRecording, console: Console, view: View) -> Table:
    """What --peers watched: the same connections from their other ends."""
    numbers = ("sockets", "sent", "read")
    table = make_table(console, "other end", *numbers, "ways", right=numbers)
    for group in grouped(recording.peers, "program")[: view.top]:
        _add_sockets(table, group.name, group.sockets)
    return table


def unix_table(recording: SocketRecording, console: Console, view: View) -> Table:
    """What it did with Unix sockets; a splice out of one is a function's alone, and no tracepoint's."""
    numbers = ("calls", "bytes")
    but = "" if recording.hooks.calls == BY_FUNCTIONS else " but splices out of them"
    table = make_table(console, f"Unix sockets: calls only{but}, in no total", *numbers, "by", right=numbers)
    for one in recording.unix[: view.top]:
        table.add_row(f"{one.comm} {one.pid}", format_count(one.calls), format_count(one.bytes), one.way)
    if recording.unix_lost:
        table.add_row("not kept", format_count(recording.unix_lost), format_count(None), "")
    return table


def name_of(socket: Socket) -> str:
    """Protocol and both ends."""
    return f"{socket.protocol} {socket.local} > {socket.peer}"


def ways_of(socket: Socket) -> str:
    """How its bytes were handed over and taken; reads that copy, the ordinary ones, are not named."""
    ways: dict[str, Transfer] = {way: one for way, one in socket.sent.items() if one.bytes}
    ways |= {f"read {way}": one for way, one in socket.read.items() if one.bytes and way != "copy"}
    return ", ".join(way.replace("_", " ") for way in ways)


def who_of(socket: Socket) -> str:
    """Program and pid."""
    return f"{socket.comm} {socket.pids[0]}" if socket.comm and socket.pids else nameless(socket)
