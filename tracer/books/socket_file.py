"""nettrace.recording/2 as a JSON document: what is stored, and what --json prints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from tracer.books.groups import busiest
from tracer.books.socket_laws import laws_of
from tracer.books.socket_ledger import ledger_of
from tracer.errors import RecordingError
from tracer.model_sockets import SocketRecording


def encode_sockets(recording: SocketRecording) -> bytes:
    """What -o writes: counters; what follows from them is derived when it is read."""
    return msgspec.json.encode(recording) + b"\n"


def document_of_sockets(recording: SocketRecording, most: int) -> bytes:
    """What --json prints: the recording, with ledger and laws of all and of the busiest sockets."""
    document: dict[str, Any] = msgspec.to_builtins(recording)
    calls = recording.hooks.calls
    document["ledger"] = msgspec.to_builtins(ledger_of(recording.totals, calls))
    listed, _ = busiest(recording.sockets, most)
    derived = {
        socket.cookie: {
            "ledger": msgspec.to_builtins(ledger_of(socket, calls)),
            "laws": msgspec.to_builtins(laws_of(socket)),
            "sent_bytes": socket.sent_bytes,
            "read_bytes": socket.read_bytes,
            "left_ip_bytes": socket.left.bytes,
            "retransmitted_bytes": socket.left.again,
        }
        for socket in listed
    }
    for row in document["sockets"]:
        row.update(derived.get(row["cookie"], {}))
    return msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"


def decode_sockets(data: bytes, name: str) -> SocketRecording:
    """A recording from JSON; what --json added is derived anew.

    Raises:
        RecordingError: damaged, or of another schema.
    """
    try:
        return msgspec.json.decode(data, type=SocketRecording)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RecordingError(
            f"{name} is no recording of sockets", str(error), "record it with nettrace record -o FILE"
        ) from error


def is_of_sockets(path: Path) -> bool:
    """Whether a file holds a recording of sockets; False where it cannot be read, which its reader will say."""
    try:
        with path.open("rb") as file:
            return b'"nettrace.recording/2"' in file.read(256)
    except OSError:
        return False
