"""The findings of a recording that was made here: with what a sweep of this machine has found before."""

from __future__ import annotations

import msgspec

from tracer.books.socket_findings import findings_of
from tracer.machine.thresholds import kept_threshold
from tracer.model import Link
from tracer.model.socket_recording import SocketRecording


def with_findings(recording: SocketRecording) -> SocketRecording:
    """The same recording, with its findings.

    What a sweep has found over loopback, or over a NIC, is of no use to sockets that used both.
    """
    links = {Link.LO if one.link == "lo" else Link.NIC for one in recording.sockets if one.pinned_bytes and one.link}
    kept = kept_threshold(links.pop()) if len(links) == 1 else None
    return findings_of(recording if kept is None else msgspec.structs.replace(recording, zerocopy_pays=kept))
