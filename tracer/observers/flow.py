"""Which packets and sockets are the workload's."""

from __future__ import annotations

import socket
import struct
from pathlib import Path
from typing import NamedTuple

from tracer.books.modes import Transport

_FLOW = struct.Struct("<IIII")


class Flow(NamedTuple):
    """The workload's port, in these network namespaces.

    Args:
        port: Port that the receiver listens on.
        sender_netns: Inode of the sender's /proc/PID/ns/net, which the kernel keeps as net->ns.inum.
        receiver_netns: The same of the receiver; 0, which no namespace has, where it is another machine.
        cgroup: The workload's own cgroup, a directory of the cgroup2 hierarchy.
        leaves_machine: The packets go to a device, not to a socket of this machine.
        transport: What carries the payload: "tcp"; "udp", of which a TCP connection of the same port is none of the
            workload's; "tls", which is TCP with records of kernel TLS.
    """

    port: int
    sender_netns: int
    receiver_netns: int
    cgroup: Path
    leaves_machine: bool = False
    transport: Transport = "tcp"

    def watched(self) -> bytes:
        """struct flow of bpf/link.h."""
        protocol = socket.IPPROTO_UDP if self.transport == "udp" else socket.IPPROTO_TCP
        return _FLOW.pack(self.port, protocol, self.sender_netns, self.receiver_netns)


NOTHING = bytes(_FLOW.size)
"""struct flow that no socket belongs to: no namespace has the inode 0."""
