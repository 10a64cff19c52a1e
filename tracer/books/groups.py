"""Sockets in groups: by program, port, peer or link. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from tracer.model_sockets import Socket


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
    """The end that has a name: the lower port, which is the listener's on all but odd machines."""
    local, peer = (int(end.rpartition(":")[2]) for end in (socket.local, socket.peer))
    if not peer or (local and local < peer):
        return f":{local}"
    return f"to :{peer}"


def _program(socket: Socket) -> str:
    return f"{socket.comm or '(no caller)'} {service_port(socket)}"


def _host(endpoint: str) -> str:
    return endpoint.rpartition(":")[0]


BY: dict[str, Callable[[Socket], str]] = {
    "program": _program,
    "port": service_port,
    "peer": lambda socket: _host(socket.peer),
    "link": lambda socket: socket.device or "(no packet)",
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
