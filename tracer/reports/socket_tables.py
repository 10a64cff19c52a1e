"""Sockets as a table for other tools: one row each, the same columns in each file, nothing for what nobody observed."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import IO, Any

from tracer.errors import MachineError
from tracer.model_sockets import (
    READ_WAYS,
    SEND_WAYS,
    SKB_STATES,
    Completions,
    Packets,
    Socket,
    SocketRecording,
    TcpState,
)

Cell = int | float | str | bool | None


def rows_of(recording: SocketRecording) -> list[dict[str, Cell]]:
    """All sockets that are listed."""
    return [_row(socket) for socket in recording.sockets]


def _row(socket: Socket) -> dict[str, Cell]:
    names = (
        "cookie",
        "family",
        "protocol",
        "local",
        "peer",
        "comm",
        "netns",
        "device",
        "ended",
        "first_s",
        "last_s",
        "above",
    )
    row: dict[str, Cell] = {name: getattr(socket, name) for name in names}
    row["pid"] = socket.pids[0] if socket.pids else None
    for verb, transfers, ways in (("sent", socket.sent, SEND_WAYS), ("read", socket.read, READ_WAYS)):
        for way in ways:
            row[f"{verb}_{way}_calls"] = transfers[way].calls if way in transfers else 0
            row[f"{verb}_{way}_bytes"] = transfers[way].bytes if way in transfers else 0
    for place, packets in (("left", socket.left), ("came", socket.came)):
        row |= _packets(place, packets)
    row |= {
        name: getattr(socket, name)
        for name in ("consumed_bytes", "copied_out_bytes", "dropped_bytes", "dropped_in_bytes")
    }
    row["deferred_copy_bytes"] = None if socket.deferred is None else sum(copy.bytes for copy in socket.deferred)
    row |= {f"refused_{name}": getattr(socket.refused, name) for name in ("eagain", "enobufs", "other")}
    row |= _members("completions", Completions, socket.completions)
    return row | _members("tcp", TcpState, socket.tcp)


def _packets(place: str, packets: Packets) -> dict[str, Cell]:
    return {f"{place}_{name}": getattr(packets, name) for name in (*SKB_STATES, "again", "packets", "fragments")}


def _members(
    prefix: str, kind: type[Completions] | type[TcpState], value: Completions | TcpState | None
) -> dict[str, Cell]:
    names = kind.__struct_fields__
    return {f"{prefix}_{name}": None if value is None else getattr(value, name) for name in names}


def write_csv(recording: SocketRecording, stream: IO[str]) -> None:
    """Comma-separated, with a head."""
    rows = rows_of(recording)
    writer = csv.DictWriter(stream, list(rows[0]) if rows else ["cookie"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)


def write_parquet(recording: SocketRecording, path: Path) -> None:
    """One row group, integers as integers.

    Raises:
        MachineError: the file cannot be written.
    """
    import pyarrow
    import pyarrow.parquet

    table: Any = pyarrow.Table.from_pylist(rows_of(recording))
    try:
        pyarrow.parquet.write_table(table, path)
    except OSError as error:
        raise MachineError(f"cannot save {path}", error.strerror or str(error), "save elsewhere") from error
