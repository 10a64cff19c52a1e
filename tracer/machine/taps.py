"""Packet sockets that get a copy of every packet of a device: tcpdump, lldpd, a DHCP client (packet(7))."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

from tracer.machine.namespaces import inside

_ALL_PROTOCOLS = 0x0003  # linux/if_ether.h, ETH_P_ALL: the only ones that see what a device sends, too


def packet_taps(device: str, netns: str | None = None) -> list[str] | None:
    """Who taps a device, "tcpdump (pid 4711) on eth0", "somebody on any device"; None where nobody could look.

    A tap that is bound to no device taps them all.
    """
    try:
        return inside(netns, lambda: _taps(device))
    except OSError:
        return None


def _taps(device: str) -> list[str]:
    index = socket.if_nametoindex(device)
    # Of the calling thread: /proc/net is the main thread's.
    lines = Path("/proc/thread-self/net/packet").read_text().splitlines()[1:]
    found = dict(tap for tap in map(_inode_and_index, lines) if tap)
    taps = {inode: bound for inode, bound in found.items() if bound in (0, index)}
    owners = _owners(set(taps)) if taps else {}
    return sorted(_described(owners.get(inode), device if bound else None) for inode, bound in taps.items())


def _inode_and_index(line: str) -> tuple[str, int] | None:
    """Of a socket that is attached and takes every protocol. Columns: net/packet/af_packet.c, packet_seq_show()."""
    _, _, _, protocol, index, running, *_, inode = line.split()
    return (inode, int(index)) if int(protocol, 16) == _ALL_PROTOCOLS and running == "1" else None


def _described(owner: str | None, device: str | None) -> str:
    return f"{owner or 'somebody'} on {device or 'any device'}"


def _owners(inodes: set[str]) -> dict[str, str]:
    """Inode of a socket to the process that has it open, as far as this user may look."""
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    return {
        wanted[link]: f"{(directory / 'comm').read_text().strip()} (pid {directory.name})"
        for directory, link in _open_files()
        if link in wanted
    }


def _open_files() -> Iterator[tuple[Path, str]]:
    for directory in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended, or is another user's
            for descriptor in (directory / "fd").iterdir():
                with contextlib.suppress(OSError):
                    yield directory, str(descriptor.readlink())
