"""Files for programs that draw: how a profile's stacks get into one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tracer.commands.output import note

if TYPE_CHECKING:
    from tracer.model import Document
    from tracer.model.socket_recording import SocketRecording


def write_speedscope(recording: Document | SocketRecording, path: Path, name: str) -> None:
    """The stacks of a recording for speedscope; where there are none, that is said.

    Args:
        name: What the viewer calls it.
    """
    from tracer.machine.files import write_file
    from tracer.reports.speedscope import speedscope_of

    data = speedscope_of(recording, name)
    if not data:
        note(f"{path} is not written: no stack was collected (--profile samples CPU time)")
        return
    write_file(path, data)
    note(f"wrote {path}, for speedscope")
