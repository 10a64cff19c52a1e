"""From which size on zero-copy was faster on this machine, as a sweep found it: kept for `record`, by link.

A file that is missing or damaged is done without; one that cannot be written, too.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec
import platformdirs

from tracer.errors import NettraceError
from tracer.machine.files import write_file
from tracer.model import Link
from tracer.model.socket_recording import Threshold

_MOST_BYTES = 4096


def keep_threshold(link: Link, found: Threshold) -> None:
    """The last sweep over a link is what counts."""
    kept = _all() | {str(link): found}
    with contextlib.suppress(OSError, NettraceError):
        _path().parent.mkdir(parents=True, exist_ok=True)
        write_file(_path(), msgspec.json.encode(kept))


def kept_threshold(link: Link) -> Threshold | None:
    """What the last sweep over this link found; None where there was none."""
    return _all().get(str(link))


def _all() -> dict[str, Threshold]:
    try:
        with _path().open("rb") as file:
            return msgspec.json.decode(file.read(_MOST_BYTES), type=dict[str, Threshold])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return {}


def _path() -> Path:
    return Path(platformdirs.user_cache_dir("nettrace")) / "thresholds.json"
