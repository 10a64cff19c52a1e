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
    return decode(read(path), str(path))


def read(path: Path) -> bytes:
    """A file that may hold a recording: read once, because a pipe can be read once only.

    Raises:
        RecordingError: it cannot be read, or is too large for one.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        fix = "a sweep's directory is for nettrace plot" if path.is_dir() else "check the path"
        raise RecordingError(f"cannot read {path}", error.strerror or str(error), fix) from error
    if len(data) > MAX_FILE_BYTES:
        why = f"it is larger than {MAX_FILE_BYTES >> 20} MiB"
        raise RecordingError(f"{path} is not a recording", why, "give a file that run --save or record -o wrote")
    return data


def save(recording: Recording, path: Path) -> None:
    """Write a recording.

    Raises:
        MachineError: the disk is full or the directory cannot be written.
    """
    write_file(path, encode(recording))
