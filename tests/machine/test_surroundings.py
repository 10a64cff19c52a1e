"""Who else touches a device's packets: taps and qdiscs, and what the device is; in namespaces of our own."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator

import pytest

from tracer.machine.leftovers import owned_name
from tracer.machine.namespaces import create_netns, inside, remove_netns
from tracer.machine.nics import dropping_qdiscs, read_nic
from tracer.machine.taps import packet_taps

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need CAP_SYS_ADMIN and CAP_NET_ADMIN")

ALL_PROTOCOLS, IPV4 = 0x0003, 0x0800


@pytest.fixture
def netns() -> Iterator[str]:
    """A namespace with a veth pair in it."""
    from pyroute2 import IPRoute

    name = owned_name("around")
    create_netns(name)
    try:
        with IPRoute(netns=name, flags=0) as route:
            route.link("add", ifname="va", kind="veth", peer={"ifname": "vb"})
            route.link("set", index=route.link_lookup(ifname="vb")[0], state="up")
            route.link("set", index=route.link_lookup(ifname="va")[0], mtu=1400, state="up")
        yield name
    finally:
        remove_netns(name)


@contextlib.contextmanager
def tap(netns: str, device: str, protocol: int = ALL_PROTOCOLS) -> Iterator[None]:
    """A packet socket of this process, bound to a device or to none."""
    kind = socket.SOCK_RAW
    with inside(netns, lambda: socket.socket(socket.AF_PACKET, kind, socket.htons(protocol))) as packets:
        if device:
            packets.bind((device, protocol))
        yield


def test_a_device_tells_its_kind_and_its_mtu(netns):
    """A veth is one; loopback has no kind of its own, and is told by its hardware type."""
    assert (read_nic("va", netns).kind, read_nic("va", netns).mtu) == ("veth", 1400)
    assert (read_nic("lo", netns).kind, read_nic("lo", netns).mtu) == ("loopback", 65536)


@pytest.mark.parametrize(("bound", "where"), [("va", "va"), ("", "any device")])
def test_a_tap_is_told_with_its_process_and_its_device(netns, bound, where):
    """One bound to no device taps all of them."""
    with tap(netns, bound):
        (found,) = packet_taps("va", netns)

    assert found.endswith(f"(pid {os.getpid()}) on {where}")
    assert packet_taps("va", netns) == []


def test_a_packet_socket_that_is_no_tap_of_the_device_is_left_out(netns):
    """Bound to another device, or to one protocol: it is handed nothing of what the device sends."""
    with tap(netns, "vb"), tap(netns, "va", IPV4):
        assert packet_taps("va", netns) == []


def test_a_device_that_is_not_there_is_unknown_not_untapped():
    """Nobody could look."""
    assert packet_taps("nosuchdevice0") is None


def test_a_qdisc_is_named_when_it_has_dropped(netns):
    """A queue of one byte drops whatever comes; before that it is not mentioned."""
    from pyroute2 import IPRoute

    with IPRoute(netns=netns, flags=0) as route:
        index = route.link_lookup(ifname="lo")[0]
        route.link("set", index=index, state="up")
        route.tc("add", "tbf", index, rate=1000, burst=10, limit=10)
    assert dropping_qdiscs("lo", netns) == []

    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(bytes(100), ("127.0.0.1", 9))

    inside(netns, send)
    assert dropping_qdiscs("lo", netns) == ["tbf on lo"]
