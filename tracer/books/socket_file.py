"""nettrace.recording/2 as a JSON document: what is stored, and what --json prints."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from tracer.books.groups import busiest
from tracer.books.later_copies import Later, LaterCopies
from tracer.books.socket_laws import laws_of
from tracer.books.socket_ledger import ledger_of
from tracer.errors import RecordingError
from tracer.model import SCHEMA, Recording
from tracer.model.socket_recording import SocketRecording
from tracer.model.sockets import Completions, Packets, Socket, Totals

SPELLED_OUT = 100
"""Sockets whose ledger and laws --json spells out, where nobody says how many."""


def encode_sockets(recording: SocketRecording) -> bytes:
    """What -o writes: counters, those that are 0 left out; what follows from them is derived when it is read."""
    return msgspec.json.encode(recording) + b"\n"


def document_of_sockets(recording: SocketRecording, most: int) -> bytes:
    """What --json prints: every key of every socket, with ledger and laws of all and of the busiest sockets."""
    document = members_of(recording, most, recording.sockets, recording.peers)
    return msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"


def members_of(recording: SocketRecording, most: int, sockets: list[Socket], peers: list[Socket]) -> dict[str, Any]:
    """The same document as plain values, with these of the sockets; totals are of all."""
    return {
        **_keys_of(msgspec.structs.replace(recording, sockets=[], peers=[])),
        **_books(recording, recording.hooks.calls, recording.totals, most, sockets),
        "peers": [_socket(socket, recording.hooks.calls, None) for socket in peers],
        "unlisted_sockets": recording.unlisted_sockets + len(recording.sockets) - len(sockets),
    }


def books_of_run(recording: Recording) -> dict[str, Any]:
    """The same of a workload's sockets; nothing where nobody knows them."""
    if recording.hooks is None or recording.totals is None:
        return {}
    return _books(recording, recording.hooks.calls, recording.totals, SPELLED_OUT, recording.sockets)


def _books(
    recording: Recording | SocketRecording, calls: str, totals: Totals, most: int, sockets: list[Socket]
) -> dict[str, Any]:
    later, (listed, _) = LaterCopies(recording), busiest(sockets, most)
    spelled = {socket.cookie for socket in listed}
    return {
        "sockets": [
            _socket(socket, calls, later.of(socket) if socket.cookie in spelled else None) for socket in sockets
        ],
        "totals": _figures(totals) | {"ledger": _all_keys(ledger_of(totals, calls, later.in_all()))},
    }


def _socket(socket: Socket, calls: str, later: Later | None) -> dict[str, Any]:
    """A row; ledger and laws are null where they are not spelled out."""
    return _figures(socket) | {
        "in_progress": socket.in_progress,
        "ledger": _all_keys(ledger_of(socket, calls, later)) if later else None,
        "laws": _all_keys(laws_of(socket)) if later else None,
    }


def _figures(moved: Socket | Totals) -> dict[str, Any]:
    """Counters, and what is read off them."""
    return _keys_of(moved) | {
        "sent_bytes": moved.sent_bytes,
        "read_bytes": moved.read_bytes,
        "left_ip_bytes": moved.left.bytes,
        "retransmitted_bytes": moved.left.again,
        "skbs": _skbs(moved.left, moved.came),
    }


def _skbs(left: Packets, came: Packets) -> dict[str, int]:
    return {"packets": left.packets + came.packets, "fragments": left.fragments + came.fragments}


def _all_keys(value: Any) -> Any:
    """Plain values, with the keys too that a file leaves out because they have their default."""
    if isinstance(value, Completions):
        return {**_keys_of(value), "zerocopy": value.zerocopy}
    if isinstance(value, msgspec.Struct):
        return _keys_of(value)
    if isinstance(value, list):
        return [_all_keys(one) for one in value]
    if isinstance(value, dict):
        return {key: _all_keys(one) for key, one in value.items()}
    return value


def _keys_of(value: msgspec.Struct) -> dict[str, Any]:
    return {name: _all_keys(getattr(value, name)) for name in value.__struct_fields__}


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


class _Subject(msgspec.Struct, frozen=True):
    kind: str = ""


class _Envelope(msgspec.Struct, frozen=True):
    schema: str
    subject: _Subject = _Subject()


_OF_A_WORKLOAD = re.compile(rb'"kind": ?"workload"')


def is_of_sockets(data: bytes) -> bool:
    """Whether this is a recording of a program's sockets, sound or not: it says so itself, wherever it stands in it."""
    try:
        told = msgspec.json.decode(data, type=_Envelope)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # Cut off: what was written first still tells what it was to be.
        head = data[:256]
        return f'"{SCHEMA}"'.encode() in head and not _OF_A_WORKLOAD.search(head)
    return told.schema == SCHEMA and told.subject.kind != "workload"
