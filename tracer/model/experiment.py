"""What is asked, and of which machine: an experiment and its host."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

import msgspec

SCHEMA: Literal["nettrace.recording/2"] = "nettrace.recording/2"
Count = Annotated[int, msgspec.Meta(ge=0)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]
HostAndPort = Annotated[str, msgspec.Meta(pattern=r":\d{1,9}$", max_length=300)]
"""NAME:PORT, ADDRESS:PORT, [ADDRESS]:PORT, as a user gives it; DNS has names of up to 253 characters."""


class Link(StrEnum):
    """What carries the payload from the sender's socket to the receiver's."""

    LO = "lo"
    VETH = "veth"
    NIC = "nic"


class ObserverChoice(StrEnum):
    """Which observers the user asks for."""

    AUTO = "auto"
    TRACEPOINTS = "tracepoints"
    FUNCTIONS = "functions"
    ALL = "all"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What of an experiment is usually left as it is: the same in all runs of a sweep.

    Args:
        fields: Pieces of memory that a message consists of.
        ipv6: Over IPv6; False is IPv4.
        congestion: Congestion control of the connections (TCP_CONGESTION); None is what the namespace has.
        nodelay: Nagle's algorithm is off (TCP_NODELAY).
        sndbuf: Bytes of the senders' buffers (SO_SNDBUF), which the kernel doubles; None lets it choose.
        rcvbuf: The same of the receivers' (SO_RCVBUF).
        receive: Name of a row of tracer/books/receiving.py.
        cpus: CPU that the sender is bound to, and the receiver's after it; those that are not given go where they may.
    """

    fields: Annotated[int, msgspec.Meta(ge=1, le=1024)] = 8
    ipv6: bool = False
    congestion: str | None = None
    nodelay: bool = False
    sndbuf: Annotated[int, msgspec.Meta(ge=1)] | None = None
    rcvbuf: Annotated[int, msgspec.Meta(ge=1)] | None = None
    receive: str = "recv"
    cpus: Annotated[tuple[Count, ...], msgspec.Meta(max_length=2)] = ()


class Experiment(Settings, frozen=True, kw_only=True):
    """One question to the kernel: this mode, this size, over this link, so much of it.

    Args:
        mode: Name of a row of tracer/books/modes.py.
        size: Bytes of one message.
        threads: Connections; each has one sender and one receiver thread.
        messages: Messages of each connection; None where duration_s rules.
        duration_s: Time that the bare pass sends for; the observed pass repeats its number of messages.
        verify: The receiver checks every byte against the sender's pattern.
        scatter_gather: False asks for a NIC whose scatter-gather is off.
        bounce: True asks for a machine booted with swiotlb=force.
        stacks: Kernel stacks are collected at every copy location.
        counters: CPU counters are read around the bare pass.
        profile: A pass of its own samples the CPUs.
        peer: HOST:PORT of `nettrace serve`, for link nic.
        lab: Lab kernel that ran or is to run this; None for this machine's own.
        setup: Shell commands that were run in the lab's guest before the passes.
    """

    mode: str
    size: Annotated[int, msgspec.Meta(ge=1, le=16 << 20)]
    threads: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1
    messages: Annotated[int, msgspec.Meta(ge=1)] | None = None
    duration_s: Annotated[float, msgspec.Meta(gt=0)] | None = None
    link: Link = Link.LO
    observer: ObserverChoice = ObserverChoice.AUTO
    verify: bool = False
    scatter_gather: bool = True
    bounce: bool = False
    stacks: bool = False
    counters: bool = False
    profile: bool = False
    peer: HostAndPort | None = None
    lab: str | None = None
    setup: tuple[str, ...] = ()


class Nic(msgspec.Struct, frozen=True, kw_only=True):
    """The device that the payload leaves through, and the offloads that decide where it is copied.

    Args:
        kind: What the kernel calls its kind (IFLA_INFO_KIND: "veth", "bridge", "tun"), "loopback", or "ethernet" for a
            device that has no kind.
        mtu: Bytes.
    """

    device: str
    driver: str | None
    scatter_gather: bool | None
    tx_checksum: bool | None
    tso: bool | None
    gso: bool | None = None
    kind: str | None = None
    mtu: Count | None = None


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """Where a recording was made.

    Args:
        emulated: True where the CPU is emulated: times and CPU costs then decide nothing.
        congestion_control: TCP's, in the sender's network namespace; one that paces shows as timers in the CPU profile.
        optmem_max: net.core.optmem_max in the sender's network namespace, bytes.
        memlock: RLIMIT_MEMLOCK of the sender, bytes; None where it is unlimited.
        packet_taps: Packet sockets that get a copy of what passes the link's devices, as they were after the passes:
            "tcpdump (pid 4711) on eth0", "somebody on any device"; None where nobody could look.
        dropping_qdiscs: Queue disciplines of the link's device that have dropped packets, "netem on lo"; asked only
            where one of them dropped payload, else None.
    """

    kernel: str
    where: Literal["host", "lab"]
    emulated: bool
    cpu: str
    cores: Count
    nic: Nic | None = None
    congestion_control: str | None = None
    optmem_max: Count | None = None
    memlock: Count | None = None
    packet_taps: list[str] | None = None
    dropping_qdiscs: list[str] | None = None
