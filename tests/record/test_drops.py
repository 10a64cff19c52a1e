"""Payload that this machine drops is told at the socket that lost it, in its direction."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.command import ROOT
from tests.record.test_ways import record
from tracer.machine.leftovers import NAMESPACES
from tracer.machine.links import open_link
from tracer.model import Link

pytestmark = pytest.mark.live

SIZE = 5003


def test_what_a_filter_drops_on_arrival_is_dropped_from_what_came(tmp_path: Path) -> None:
    """The packet has its receiver's socket by then (early demux): it had arrived for it, and it has sent nothing."""
    with open_link(Link.VETH) as link:
        places = [NAMESPACES / str(name) for name in (link.sender_netns, link.receiver_netns)]
        arguments = (ROOT / "tests/programs/refused_on_arrival.py", *places, link.address, SIZE)
        recording, _ = record(tmp_path, sys.executable, *arguments)

    sender, reader = sorted(recording.sockets, key=lambda socket: -socket.sent_bytes)
    assert (sender.sent_bytes, reader.read_bytes) == (2 * SIZE, 2 * SIZE)
    assert (sender.dropped_bytes, reader.dropped_bytes) == (0, 0)
    assert reader.dropped_in_bytes == sender.left.bytes - reader.came.bytes > 0
