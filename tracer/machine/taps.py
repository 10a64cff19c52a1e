"""Packet sockets that get a copy of what passes a device: tcpdump, lldpd, a DHCP client. packet(7)."""

from __future__ import annotations

import contextlib
import functools
import socket
from collections.abc import Iterator
from pathlib import Path

from tracer.machine.namespaces import inside
from tracer.machine.running import own_name
from tracer.texts import printable

_ETH_P_ALL, _ETH_P_IP = 0x0003, 0x0800  # linux/if_ether.h: a socket of another protocol gets none of the payload


def read_taps(devices: list[tuple[str, str | None]]) -> list[str] | None:
    """Whoever taps one of these devices, in words: "tcpdump (pid 4711) on eth0"; None where nobody may look.

    Args:
        devices: Name, and network namespace below /run/netns (None for our own).
    """
    try:
        found = [inside(netns, functools.partial(_taps_of, device)) for device, netns in dict.fromkeys(devices)]
        return [tap for taps in found for tap in taps]
    except OSError:
        return None


def _taps_of(device: str) -> list[str]:
    index = socket.if_nametoindex(device)
    return [
        f"{_owner_of(inode)} on {device if bound else 'any device'}"
        for protocol, bound, inode in packet_sockets(Path("/proc/thread-self/net/packet").read_text())
        if protocol in (_ETH_P_ALL, _ETH_P_IP) and bound in (0, index)
    ]


def packet_sockets(text: str) -> Iterator[tuple[int, int, int]]:
    """Protocol, index of the device (0 for any) and inode of each running packet socket in /proc/net/packet."""
    for line in text.splitlines()[1:]:
        _, _, _, protocol, device, running, _, _, inode = line.split()
        if running == "1":
            yield int(protocol, 16), int(device), int(inode)


def _owner_of(inode: int) -> str:
    """The process that holds the socket; somebody, where it is another PID namespace's or this user may not look."""
    for process in Path("/proc").iterdir():
        with contextlib.suppress(OSError):  # it has ended meanwhile, or is another user's
            if process.name.isdecimal() and _holds(process, f"socket:[{inode}]"):
                return f"{printable(own_name(int(process.name)))} (pid {process.name})"
    return "somebody"


def _holds(process: Path, wanted: str) -> bool:
    return any(str(link.readlink()) == wanted for link in (process / "fd").iterdir())
