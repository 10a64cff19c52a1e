"""Who taps a device: packet sockets, by /proc/net/packet."""

from __future__ import annotations

import os
import socket

import pytest

from tracer.machine.taps import packet_sockets, read_taps

TEXT = """\
sk       RefCnt Type Proto  Iface R Rmem   User   Inode
0000000000000000 3      3    0003   2     1 0      0      27132
0000000000000000 3      3    0003   0     1 0      0      27133
0000000000000000 3      3    0003   2     0 0      0      27134
"""


def test_sockets_that_run_are_listed_with_protocol_device_and_inode() -> None:
    """One that was made and not bound yet gets nothing."""
    assert list(packet_sockets(TEXT)) == [(3, 2, 27132), (3, 0, 27133)]


@pytest.mark.skipif(os.geteuid() != 0, reason="a packet socket needs CAP_NET_RAW")
def test_a_tap_is_told_with_its_process_and_device() -> None:
    """Bound to the device, to another one, and to none."""
    before = read_taps([("lo", None)])
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as tap:
        on_any = read_taps([("lo", None)])
        tap.bind(("lo", 3))
        on_lo = read_taps([("lo", None)])

    assert before is not None
    assert on_any is not None
    assert on_lo is not None
    assert [tap for tap in on_any if tap not in before] == [f"{comm()} (pid {os.getpid()}) on any device"]
    assert [tap for tap in on_lo if tap not in before] == [f"{comm()} (pid {os.getpid()}) on lo"]


def comm() -> str:
    with open("/proc/self/comm") as file:  # noqa: PTH123
        return file.read().strip()
