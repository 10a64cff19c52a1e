"""Sockets as a table for other tools: one row each, the same columns in each file, nothing for what nobody observed."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import IO, Any

import msgspec

from tracer.errors import MachineError
from tracer.model.sockets import READ_WAYS, SEND_WAYS, Completions, Packets, Socket, TcpState, Transfer
from tracer.texts import printable

_PLAIN = (
    *("cookie", "family", "protocol", "local", "peer", "comm", "netns", "cgroup", "link", "above", "born", "ended"),
    *("first_s", "last_s", "consumed_bytes", "copied_out_bytes", "dropped_bytes", "dropped_in_bytes"),
)
Cell = int | float | str | bool | None


def rows_of(sockets: list[Socket]) -> list[dict[str, Cell]]:
    """A row each."""
    return [_row(socket) for socket in sockets]


def _row(socket: Socket) -> dict[str, Cell]:
    row: dict[str, Cell] = {name: getattr(socket, name) for name in _PLAIN}
    row["pid"] = socket.pids[0] if socket.pids else None
    row |= {"peer_pid": socket.peer_pids[0] if socket.peer_pids else None, "peer_comm": socket.peer_comm}
    row |= _transfers("sent", socket.sent, SEND_WAYS) | _transfers("read", socket.read, READ_WAYS)
    row |= _members("left", Packets, socket.left) | _members("came", Packets, socket.came)
    row["deferred_copy_bytes"] = None if socket.deferred is None else sum(copy.bytes for copy in socket.deferred)
    row |= {f"refused_{name}": getattr(socket.refused, name) for name in ("eagain", "enobufs", "other")}
    return row | _members("completions", Completions, socket.completions) | _members("tcp", TcpState, socket.tcp)


def _transfers(verb: str, transfers: dict[str, Transfer], ways: tuple[str, ...]) -> dict[str, Cell]:
    moved = {way: transfers.get(way, Transfer()) for way in ways}
    calls: dict[str, Cell] = {f"{verb}_{way}_calls": one.calls for way, one in moved.items()}
    return calls | {f"{verb}_{way}_bytes": one.bytes for way, one in moved.items()}


def _members(prefix: str, kind: type[msgspec.Struct], value: msgspec.Struct | None) -> dict[str, Cell]:
    """A part that a socket may not have: then all its cells are empty."""
    return {f"{prefix}_{name}": None if value is None else getattr(value, name) for name in kind.__struct_fields__}


def write_csv(sockets: list[Socket], stream: IO[str]) -> None:
    """Comma-separated, with a head. What programs call themselves is shown, not sent to a terminal."""
    rows = [{name: _shown(cell) for name, cell in row.items()} for row in rows_of(sockets)]
    writer = csv.DictWriter(stream, list(rows[0]) if rows else ["cookie"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)


def _shown(cell: Cell) -> Cell:
    return printable(cell) if isinstance(cell, str) else cell


def write_parquet(sockets: list[Socket], path: Path) -> None:
    """One row group, integers as integers.

    Raises:
        MachineError: the file cannot be written.
    """
    import pyarrow
    import pyarrow.parquet

    table: Any = pyarrow.Table.from_pylist(rows_of(sockets))
    try:
        pyarrow.parquet.write_table(table, path)
    except OSError as error:
        raise MachineError(f"cannot save {path}", error.strerror or str(error), "save elsewhere") from error
