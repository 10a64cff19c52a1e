"""Who is at the other end of a connection, where that is on this machine: by /proc, as far as this user may look.

Looked for in the network namespace of this process alone: in others the same addresses are other sockets.
"""

from __future__ import annotations

import contextlib
import functools
import socket as sockets
import struct
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import NamedTuple

from tracer.books.endpoints import host_of, port_of, unmapped
from tracer.machine.running import own_name

_LISTENS = "0A"  # TCP_LISTEN of include/net/tcp_states.h
_ANYWHERE = ("0.0.0.0", "::")


class Ends(NamedTuple):
    """A TCP or UDP connection as one of its ends sees it: "address:port", as in a recording."""

    protocol: str
    local: str
    peer: str


class Process(NamedTuple):
    """Whose descriptor a socket is."""

    pid: int
    comm: str


class _Entry(NamedTuple):
    """A line of /proc/net/tcp."""

    local: str
    peer: str
    state: str
    inode: int


def find_peers(wanted: Iterable[Ends]) -> dict[Ends, Process]:
    """The processes at the other ends: by the connection itself, else, where it has ended, by who listens there."""
    groups = _by_protocol(wanted).items()
    inodes = {ends: inode for protocol, group in groups for ends, inode in _inodes(protocol, group)}
    owners = _owners(frozenset(inodes.values())) if inodes else {}
    return {ends: owners[inode] for ends, inode in inodes.items() if inode in owners}


def _by_protocol(wanted: Iterable[Ends]) -> dict[str, list[Ends]]:
    found: dict[str, list[Ends]] = {}
    for ends in wanted:
        found.setdefault(ends.protocol, []).append(ends)
    return found


def _inodes(protocol: str, wanted: list[Ends]) -> list[tuple[Ends, int]]:
    ports = {port_of(ends.peer) for ends in wanted}
    entries = [entry for name in (protocol, f"{protocol}6") for entry in _table(name, ports)]
    connections = {(entry.local, entry.peer): entry.inode for entry in entries}
    listeners = {entry.local: entry.inode for entry in entries if protocol == "udp" or entry.state == _LISTENS}
    found = []
    for ends in wanted:
        local, peer = unmapped(ends.local), unmapped(ends.peer)
        if inode := connections.get((peer, local)) or _listener(peer, listeners):
            found.append((ends, inode))
    return found


def _listener(endpoint: str, listeners: dict[str, int]) -> int | None:
    """Who listens at this address of this machine; at any of its addresses, if it is one."""
    if endpoint in listeners:
        return listeners[endpoint]
    port = port_of(endpoint)
    names = [f"{_bracketed(address)}:{port}" for address in _ANYWHERE]
    found = next((listeners[name] for name in names if name in listeners), None)
    return found if found and is_here(host_of(endpoint)) else None


@functools.cache
def is_here(address: str) -> bool:
    """Whether an address is one of this machine's: a socket can be bound to it."""
    family = sockets.AF_INET6 if ":" in address else sockets.AF_INET
    with contextlib.suppress(OSError), sockets.socket(family, sockets.SOCK_DGRAM) as tried:
        tried.bind((address, 0))
        return True
    return False


def _table(name: str, ports: set[int]) -> list[_Entry]:
    """The lines of /proc/net/NAME whose own port is one of these."""
    try:
        lines = Path(f"/proc/net/{name}").read_text().splitlines()[1:]
    except OSError:  # no IPv6 here
        return []
    rows = (line.split(maxsplit=10) for line in lines)
    return [
        _Entry(_endpoint(row[1]), _endpoint(row[2]), row[3], int(row[9]))
        for row in rows
        if int(row[1].rpartition(":")[2], 16) in ports
    ]


def _endpoint(text: str) -> str:
    """From hexadecimal words in this machine's order; an IPv4 address within IPv6 as itself."""
    address, _, port = text.partition(":")
    words = struct.pack(f"={len(address) // 8}I", *(int(address[at : at + 8], 16) for at in range(0, len(address), 8)))
    if len(words) == 4:
        return f"{IPv4Address(words)}:{int(port, 16)}"
    mapped = IPv6Address(words).ipv4_mapped
    return f"{_bracketed(str(mapped or IPv6Address(words)))}:{int(port, 16)}"


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _owners(inodes: frozenset[int]) -> dict[int, Process]:
    """Inode -> the first process that has it open, of those that this user may look into."""
    found: dict[int, Process] = {}
    for directory in Path("/proc").glob("[0-9]*/fd"):
        with contextlib.suppress(OSError):  # ended meanwhile, or somebody else's
            for link in directory.iterdir():
                target = str(link.readlink())
                if target.startswith("socket:[") and (inode := int(target[8:-1])) in inodes and inode not in found:
                    pid = int(directory.parent.name)
                    found[inode] = Process(pid, own_name(pid))
    return found
