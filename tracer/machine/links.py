"""What carries the payload: loopback, a veth pair between two namespaces of our own, or a network device.

pyroute2 is imported inside functions: it takes 0.3 s, and loopback needs nothing of it. For a veth pair it works in a
process of its own, because its 13 MB would come on top of what BCC takes to compile.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import ipaddress
import os
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

from tracer.errors import MachineError, NettraceError, UsageError, reason_of
from tracer.machine.leftovers import owned_name
from tracer.machine.namespaces import create_netns, inside, netns_inode, remove_netns, signals_held
from tracer.machine.privilege import refusal
from tracer.model import Link

LOOPBACK, LOOPBACK6 = "127.0.0.1", "::1"
VETH = "nettrace0"
# RFC 2544 keeps 198.18.0.0/15 for benchmarks; inside our own namespaces nothing else can hold it.
SENDER_ADDRESS, RECEIVER_ADDRESS, PREFIX_LENGTH = "198.18.0.1", "198.18.0.2", 30
# RFC 5180 does so with 2001:2::/48. Nobody else is there to have the same one, so nobody need be asked.
SENDER_ADDRESS6, RECEIVER_ADDRESS6, PREFIX_LENGTH6, _IFA_F_NODAD = "2001:2::1", "2001:2::2", 126, 0x02
CARRIER_DEADLINE_S = 5.0

_SIOCGIFFLAGS, _IFF_UP = 0x8913, 0x1  # linux/sockios.h, linux/if.h
_RTMGRP_LINK = 0x1  # linux/rtnetlink.h
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_LO_INDEX = 1  # loopback is the first device of every namespace


@dataclass(frozen=True)
class OpenLink:
    """A link that is ready to carry traffic.

    Args:
        address: Address that the receiver binds to and the sender connects to.
        port: Port that the receiver listens on; None where it may take any.
        device: The device that the sender's packets leave through.
        sender_netns: Name of the namespace below /run/netns; None for the caller's own.
        receiver_netns: The same for the receiver; None also where it is on another machine.
        sender_netns_inode: What the kernel knows the namespace by (net->ns.inum): observers filter on it.
        receiver_netns_inode: None where the receiver is on another machine.
        note: What a reader of the numbers must know about this link.
    """

    link: Link
    address: str
    port: int | None
    device: str
    sender_netns: str | None
    receiver_netns: str | None
    sender_netns_inode: int
    receiver_netns_inode: int | None
    note: str


@contextlib.contextmanager
def open_link(link: Link, peer: str | None = None, *, ipv6: bool = False) -> Iterator[OpenLink]:
    """A link for the time of the block; what was made for it is removed, whatever ends the block.

    A signal ends the block only if its handler raises; for SIGTERM that is up to the caller.

    Args:
        link: What is to carry the payload.
        peer: HOST:PORT of the receiver, for link nic alone.
        ipv6: Its addresses are IPv6 ones.

    Raises:
        UsageError: if the peer is missing, malformed, unknown, or this machine itself.
        PrivilegeError: if this user may not make namespaces.
        MachineError: if loopback is down, a name is taken, no route leads to the peer, or the veth stays down.
    """
    undo = contextlib.ExitStack()
    try:
        with signals_held():
            opened = _opened(link, undo, peer, ipv6=ipv6)
        yield opened
    finally:
        with signals_held():
            undo.close()


def _opened(link: Link, undo: contextlib.ExitStack, peer: str | None, *, ipv6: bool) -> OpenLink:
    if link is Link.VETH:
        return _open_veth(undo, ipv6=ipv6)
    return _open_nic(peer, ipv6=ipv6) if link is Link.NIC else _open_lo(ipv6=ipv6)


def _open_lo(*, ipv6: bool) -> OpenLink:
    if not _is_up("lo"):
        raise MachineError(
            "the loopback device is down",
            "this network namespace has a lo that nobody has brought up",
            "ip link set lo up",
        )
    own = netns_inode(None)
    note = "packets are looped to a socket on this machine: no device ever reads them"
    return OpenLink(Link.LO, LOOPBACK6 if ipv6 else LOOPBACK, None, "lo", None, None, own, own, note)


def _is_up(device: str) -> bool:
    """Asked by ioctl, because /sys/class/net shows the namespace that mounted it, not ours (netdevice(7))."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        answer = fcntl.ioctl(control, _SIOCGIFFLAGS, struct.pack("16sH22x", device.encode(), 0))
    return bool(struct.unpack_from("16xH", answer)[0] & _IFF_UP)


def _open_veth(undo: contextlib.ExitStack, *, ipv6: bool) -> OpenLink:
    sender, receiver = owned_name("tx"), owned_name("rx")
    keep = undo.enter_context(_keeper())
    for name in (sender, receiver):
        keep(create_netns, name)
        undo.callback(keep, remove_netns, name)
    keep(_connect, sender, receiver, "ipv6" if ipv6 else "")
    note = "packets are looped from one network namespace to another on this machine: no device ever reads them"
    inodes = netns_inode(sender), netns_inode(receiver)
    address = RECEIVER_ADDRESS6 if ipv6 else RECEIVER_ADDRESS
    return OpenLink(Link.VETH, address, None, VETH, sender, receiver, *inodes, note)


@contextlib.contextmanager
def _keeper() -> Iterator[Callable[..., None]]:
    """Runs functions in a child process, one after the other, and raises what they raise.

    It is forked, so that it starts in a moment, and while signals_held(): a Ctrl-C in the terminal is not for it. Where
    pyroute2 is loaded already, in the lab's guest, there is no memory to save, and a child is 0.3 s: it runs them here.
    """
    if "pyroute2" in sys.modules:
        yield lambda function, *arguments: function(*arguments)
        return
    with ProcessPoolExecutor(1, get_context("fork"), _end_with, (os.getpid(),)) as pool:

        def keep(function: Callable[..., None], *arguments: str) -> None:
            try:
                pool.submit(function, *arguments).result()
            except BrokenProcessPool as error:
                raise MachineError(
                    "the process that makes network namespaces was killed", str(error), "nettrace doctor --clean"
                ) from error

        yield keep


def _end_with(parent: int) -> None:
    """End when the parent does, even by SIGKILL: this process would wait for its next task for ever."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _connect(sender: str, receiver: str, ipv6: str) -> None:
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        _add_pair(sender, receiver, ipv6)
    except (NetlinkError, OSError) as error:
        raise _refusal(error) from error


def _add_pair(sender: str, receiver: str, ipv6: str) -> None:
    from pyroute2 import IPRoute

    # By a socket that was made there: IPRoute would fork a child to make one, and a namespace that is missing.
    with (
        inside(sender, _device_events) as events,
        IPRoute(fileno=inside(sender, _route_socket)) as sending,
        IPRoute(fileno=inside(receiver, _route_socket)) as receiving,
    ):
        sending.link("add", ifname=VETH, kind="veth", peer={"ifname": VETH, "net_ns_fd": receiver})
        ends = ((sending, SENDER_ADDRESS, SENDER_ADDRESS6), (receiving, RECEIVER_ADDRESS, RECEIVER_ADDRESS6))
        for route, address, address6 in ends:
            index = route.link_lookup(ifname=VETH)[0]
            route.addr("add", index=index, address=address, prefixlen=PREFIX_LENGTH)
            if ipv6:
                route.addr("add", index=index, address=address6, prefixlen=PREFIX_LENGTH6, flags=_IFA_F_NODAD)
            route.link("set", index=_LO_INDEX, state="up")
            route.link("set", index=index, state="up")
        _wait_for_carrier(sending, events)


def _route_socket() -> int:
    """Descriptor of a new rtnetlink socket of the calling thread's namespace."""
    return socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, socket.NETLINK_ROUTE).detach()


def _device_events() -> socket.socket:
    """A socket on which the kernel tells each change of a device in this namespace (rtnetlink(7)).

    Not pyroute2's own: that one reads events in passing while it waits for an answer.
    """
    events = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    events.bind((0, _RTMGRP_LINK))
    return events


def _wait_for_carrier(route: Any, events: socket.socket) -> None:
    """Wait until the kernel says that the device is operational.

    The state UP, not the carrier bit: linkwatch sets the bit first and lets packets through later (linkwatch_do_dev).
    """
    deadline = time.monotonic() + CARRIER_DEADLINE_S
    while route.get_links(ifname=VETH)[0].get_attr("IFLA_OPERSTATE") != "UP":
        changed, _, _ = select.select([events], [], [], max(0, deadline - time.monotonic()))
        if not changed:
            raise MachineError(
                f"the veth device {VETH} did not come up",
                f"it had no carrier after {CARRIER_DEADLINE_S:g} s",
                "run it over loopback: --link lo",
            )
        events.recv(1 << 16)


def _refusal(error: Exception) -> NettraceError:
    number, reason = error.args[0], reason_of(error)
    if number == errno.EPERM:
        return refusal("cannot make a veth pair", reason, "CAP_NET_ADMIN")
    return MachineError(
        "cannot make a veth pair",
        reason,
        "load the driver: modprobe veth; or run it over loopback: --link lo",
    )


def _open_nic(peer: str | None, *, ipv6: bool) -> OpenLink:
    address, port = _resolve(peer, ipv6=ipv6)
    device = _device_to(address)
    if device == "lo":
        raise UsageError(
            f"the peer {peer} is this machine",
            "its packets would be looped and never reach a network device",
            "name another machine, or use --link lo",
        )
    note = f"packets leave through {device}; what happens on the receiving machine is not observed"
    return OpenLink(Link.NIC, address, port, device, None, None, netns_inode(None), None, note)


def _resolve(peer: str | None, *, ipv6: bool) -> tuple[str, int]:
    host, separator, port = (peer or "").rpartition(":")
    if not separator or not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise UsageError(
            f"link nic needs a peer, not {peer!r}" if peer else "link nic needs a peer",
            "the payload goes to a receiver on another machine",
            "start `nettrace serve` there and give its HOST:PORT",
        )
    if _is_ipv6(host) and not ipv6:
        fix = "add --ipv6, or give the IPv4 address of that machine, or its name"
        raise UsageError(f"the peer {peer!r} is an IPv6 address", "nettrace sends over IPv4 unless told otherwise", fix)
    family, kind = (socket.AF_INET6, "IPv6") if ipv6 else (socket.AF_INET, "IPv4")
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), family, socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        fix = f"give its {kind} address; what is known of the name here: getent ahosts {host}"
        why = reason_of(error) if isinstance(error, OSError) else "it cannot be the name of a machine"
        raise UsageError(f"no {kind} address is known for the peer {peer!r}", why, fix) from error
    return str(found[0][4][0]), int(port)


def _is_ipv6(host: str) -> bool:
    """With or without brackets and the name of a device."""
    try:
        ipaddress.IPv6Address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


def _device_to(address: str) -> str:
    from pyroute2 import IPRoute
    from pyroute2.netlink.exceptions import NetlinkError

    with IPRoute() as route:
        try:
            index = route.route("get", dst=address)[0].get_attr("RTA_OIF")
            return str(route.get_links(index)[0].get_attr("IFLA_IFNAME"))
        except NetlinkError as error:
            raise MachineError(f"no route leads to {address}", reason_of(error), f"ip route get {address}") from error
