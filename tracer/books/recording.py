"""The only file format: one JSON document, nettrace.recording/1.

A file is untrusted input: it is validated against the types of tracer/model.py, and whatever follows from the
measurements (ledger, verdict) is derived anew when it is read.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from tracer.books.analysis import document_of
from tracer.errors import MachineError, RecordingError
from tracer.model import SCHEMA, Document, Recording

# A recording with all its stacks is well under a megabyte.
MAX_FILE_BYTES = 256 << 20


_GIVE_A_RECORDING = "give a file that nettrace run --save wrote"


def encode(recording: Recording) -> bytes:
    """The document as indented JSON, with a newline at its end."""
    return msgspec.json.format(msgspec.json.encode(document_of(recording)), indent=2) + b"\n"


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


def load(path: Path) -> Recording:
    """Read a recording from a file.

    Raises:
        RecordingError: the file cannot be read, or is no valid recording.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise RecordingError(f"cannot read {path}", error.strerror or str(error), "check the path") from error
    if len(data) > MAX_FILE_BYTES:
        raise RecordingError(f"{path} is not a recording", f"it is larger than {MAX_FILE_BYTES >> 20} MiB")
    return decode(data, str(path))


def save(recording: Recording, path: Path) -> None:
    """Write a recording; whole or not at all. It belongs to the user who ran sudo.

    Raises:
        MachineError: the disk is full or the directory cannot be written.
    """
    write_whole(encode(recording), path)


def write_whole(data: bytes, path: Path) -> None:
    """Write a file, whole or not at all. It belongs to the user who ran sudo.

    Raises:
        MachineError: the disk is full or the directory cannot be written.
    """
    temporary: Path | None = None
    try:
        descriptor, name = tempfile.mkstemp(prefix=".nettrace-", dir=path.parent)
        temporary = Path(name)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        give_to_invoking_user(temporary)
        temporary.replace(path)
    except OSError as error:
        raise MachineError(
            f"cannot save {path}", error.strerror or str(error), "free some space, or save elsewhere; --json prints it"
        ) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()


def give_to_invoking_user(path: Path) -> None:
    """Make the user who ran sudo the owner; nothing happens without sudo."""
    user, group = os.environ.get("SUDO_UID"), os.environ.get("SUDO_GID")
    if os.geteuid() == 0 and user and group:
        os.chown(path, int(user), int(group))


def json_schema() -> dict[str, Any]:
    """The published JSON Schema of what --json prints and --save writes."""
    schema = msgspec.json.schema(Document)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": SCHEMA, **schema}
