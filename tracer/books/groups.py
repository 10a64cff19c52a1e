"""Sockets in groups: by program, port, peer or link. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from tracer.books.endpoints import host_of, port_of
from tracer.model.sockets import Socket


@dataclass(frozen=True)
class Group:
    """Sockets that share a name."""

    name: str
    sockets: list[Socket]

    @property
    def bytes(self) -> int:
        """What these sent and read."""
        return sum(socket.sent_bytes + socket.read_bytes for socket in self.sockets)


def service_port(socket: Socket) -> str:
    """The end that has a name: the listener's; of UDP the lower port, which that is on all but odd machines."""
    local, peer = port_of(socket.local), port_of(socket.peer)
    if socket.protocol != "udp" and peer:
        return f":{local}" if socket.accepted else f"to :{peer}"
    if not peer or (local and local < peer):
        return f":{local}"
    return f"to :{peer}"


def _program(socket: Socket) -> str:
    return f"{socket.comm or nameless(socket)} {service_port(socket)}"


def nameless(socket: Socket) -> str:
    """What a socket is that no process has called: MPTCP's own connections are the kernel's."""
    return "(MPTCP subflow)" if socket.above == "mptcp" and socket.protocol == "tcp" else "(no caller)"


def _peer(socket: Socket) -> str:
    """The program at the other end, where it is known; else the address."""
    if socket.peer_comm is None:
        return host_of(socket.peer)
    pid = f"pid {socket.peer_pids[0]}, " if socket.peer_pids else ""
    return f"{socket.peer_comm} ({pid}on this machine)"


BY: dict[str, Callable[[Socket], str]] = {
    "program": _program,
    "port": service_port,
    "peer": _peer,
    "link": lambda socket: socket.link or "(no packet)",
}


def grouped(sockets: list[Socket], by: str) -> list[Group]:
    """The groups, those that moved most bytes first."""
    found: defaultdict[str, list[Socket]] = defaultdict(list)
    for socket in sockets:
        found[BY[by](socket)].append(socket)
    return sorted(
        (Group(name, members) for name, members in found.items()), key=lambda group: (-group.bytes, group.name)
    )


def busiest(sockets: list[Socket], most: int) -> tuple[list[Socket], list[Socket]]:
    """The sockets that moved most bytes, and the rest."""
    ordered = sorted(sockets, key=lambda socket: (-(socket.sent_bytes + socket.read_bytes), socket.cookie))
    return ordered[:most], ordered[most:]
