"""Recordings in files."""

from __future__ import annotations

from pathlib import Path

from tracer.books.recording import MAX_FILE_BYTES, decode, encode
from tracer.errors import RecordingError
from tracer.machine.files import write_file
from tracer.model import Recording


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
    """Write a recording.

    Raises:
        MachineError: the disk is full or the directory cannot be written.
    """
    write_file(path, encode(recording))
