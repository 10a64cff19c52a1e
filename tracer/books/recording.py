"""The only file format: one JSON document, nettrace.recording/1.

A file is untrusted input: it is validated against the types of tracer/model.py, and whatever follows from the
measurements (ledger, verdict) is derived anew when it is read.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tracer.errors import RecordingError
from tracer.model import SCHEMA, Document, Recording

# A recording with all its stacks is well under a megabyte.
MAX_FILE_BYTES = 256 << 20


_GIVE_A_RECORDING = "give a file that nettrace run --save wrote"


def encode(recording: Recording) -> bytes:
    """A recording, or a whole document, as indented JSON with a newline at its end."""
    return msgspec.json.format(msgspec.json.encode(recording), indent=2) + b"\n"


def decode(data: bytes, name: str = "recording") -> Recording:
    """A recording from JSON.

    Raises:
        RecordingError: no JSON, another schema, a field missing, of a wrong type or out of range.
    """
    if not data.lstrip().startswith(b"{"):
        raise RecordingError(f"{name} is not a recording", "it holds no JSON document", _GIVE_A_RECORDING)
    try:
        envelope = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RecordingError(f"{name} is damaged", str(error), "record it again with --save") from error
    schema = envelope.get("schema") if isinstance(envelope, dict) else None
    if schema != SCHEMA:
        raise RecordingError(
            f"{name} is not a recording of this nettrace",
            f"its schema is {schema!r}, not {SCHEMA!r}" if schema else "it has no schema",
            _GIVE_A_RECORDING,
        )
    try:
        return msgspec.convert(envelope, Recording)
    except (msgspec.ValidationError, RecursionError) as error:
        raise RecordingError(f"{name} is damaged", str(error), "record it again with --save") from error


def json_schema() -> dict[str, Any]:
    """The published JSON Schema of what --json prints and --save writes."""
    schema = msgspec.json.schema(Document)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": SCHEMA, **schema}
