"""The last lines that a command has written, for the pane of a live view."""

from __future__ import annotations

import os
from pathlib import Path

from tracer.texts import printable

_MOST_BYTES = 8192


def tail_of(file: Path, lines: int) -> str:
    """So many lines of the end of a file: what would move a terminal's cursor is shown, not sent."""
    try:
        with file.open("rb") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - _MOST_BYTES))
            data = stream.read(_MOST_BYTES)
    except OSError as error:
        return f"({file}: {error.strerror})"
    text = data.decode(errors="backslashreplace")
    return "\n".join(printable(line.rstrip("\r"), keep="\t") for line in text.rstrip("\n").split("\n")[-lines:])
