"""A run of ours as a file: one JSON document, nettrace.recording/2, of a workload.

A file is untrusted input: it is validated against the types of tracer/model/, and whatever follows from the
measurements (ledger, verdict) is derived anew when it is read.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tracer.books.foreign import of_another_program, seems_to_be
from tracer.books.socket_file import books_of_run
from tracer.books.untrusted import sound
from tracer.books.upgrade import SCHEMA_1, upgraded, upgraded_envelope
from tracer.errors import RecordingError
from tracer.model import SCHEMA, Document, Recording
from tracer.model.socket_recording import SocketRecording

# A recording with all its stacks is well under a megabyte.
MAX_FILE_BYTES = 256 << 20


_GIVE_A_RECORDING = "give a file that nettrace run --save, record -o or attach -o wrote"
_AGAIN = "record it again: nettrace run --save, record -o or attach -o"


def encode(recording: Recording) -> bytes:
    """A recording, or a whole document, as indented JSON with a newline at its end."""
    document = {**msgspec.to_builtins(recording), **books_of_run(recording)}
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def decode(data: bytes, name: str = "recording") -> Recording:
    """A recording from JSON.

    Raises:
        RecordingError: no JSON, another schema, a field missing, of a wrong type or out of range.
    """
    envelope = _json(data, name)
    schema = envelope.get("schema") if isinstance(envelope, dict) else None
    if schema == SCHEMA_1:
        schema, envelope = SCHEMA, upgraded_envelope(envelope)
    if schema == SCHEMA and not _is_of_a_workload(envelope):
        raise RecordingError(
            f"{name} holds the sockets of a program, and no run of a workload",
            "nettrace record wrote it; only a run has a mode, a size and two passes",
            f"nettrace report {name}",
        )
    if schema != SCHEMA:
        raise RecordingError(
            f"{name} is not a recording of this nettrace",
            f"its schema is {schema!r}, not {SCHEMA!r}" if schema else of_another_program(envelope),
            _GIVE_A_RECORDING,
        )
    try:
        return upgraded(msgspec.convert(sound(envelope), Recording))
    except (msgspec.ValidationError, RecursionError) as error:
        raise RecordingError(f"{name} is damaged", str(error), _AGAIN) from error


def _is_of_a_workload(envelope: dict[str, Any]) -> bool:
    subject = envelope.get("subject")
    return isinstance(subject, dict) and subject.get("kind") == "workload"


def _json(data: bytes, name: str) -> Any:
    if not data.lstrip().startswith(b"{"):
        raise RecordingError(f"{name} is not a recording", seems_to_be(data), _GIVE_A_RECORDING)
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        # Cut off or not, a recording says first what it is.
        if b'"nettrace' in data[:256]:
            raise RecordingError(f"{name} is damaged", str(error), _AGAIN) from error
        why = f"it seems to be another program's JSON, several documents or a broken one: {error}"
        raise RecordingError(f"{name} is not a recording", why, _GIVE_A_RECORDING) from error


def json_schema() -> dict[str, Any]:
    """The published JSON Schema of what --json prints and --save writes."""
    kinds, parts = msgspec.json.schema_components([Document, SocketRecording], ref_template="#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": SCHEMA,
        "description": "A run of a workload (subject.kind is workload), or the sockets of any other subject.",
        "anyOf": list(kinds),
        "$defs": parts,
    }
