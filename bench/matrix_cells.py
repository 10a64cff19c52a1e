"""What the lab matrix consists of: the ways that packets take, and which modes go by which of them.

A section is a table of the page. The program of a packet tap, the commands of a router: what stands here is done in the
guest, and in the guest alone.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from tracer.books.modes import NAMES, STUDIED, USUAL, Conditions
from tracer.books.receiving import RECEIVE_NAMES, USUAL_RECEIVE
from tracer.model import Link

# Odd and prime, so that nothing adds up by accident: 230161 B.
SIZE, MESSAGES = 10007, 23
# UDP pins what fits into one packet alone.
_SIZES = {"udp-zerocopy": 1021}
# Whole pages alone are mapped.
_SIZES_BY_LINK = {"lo map": 3 * 4096}


def size_of(mode: str, link: str) -> int:
    """Bytes of a message."""
    return _SIZES_BY_LINK.get(link) or _SIZES.get(mode, SIZE)


@dataclass(frozen=True)
class Way:
    """A link and what is special about it.

    Args:
        fields: Of the experiment, beside the link.
        conditions: What the oracle is to suppose.
        setup: What the guest's root does before the passes.
    """

    link: Link
    conditions: Conditions = USUAL
    fields: Mapping[str, bool | str] = field(default_factory=dict)
    setup: str = ""


def _with_qdisc(qdisc: str) -> Way:
    return Way(Link.LO, setup=f"tc qdisc add dev lo root {qdisc}")


def _in_background(program: str, ready: str) -> str:
    """Started, and waited for until a command says that it is there."""
    start = f"setsid {sys.executable} -c {shlex.quote(program)} >/dev/null 2>&1"
    return f"{start} & until {ready}; do sleep 0.1; done"


# ETH_P_ALL takes what a device sends, too.
_TAP = """
import socket, time
tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
tap.bind((DEVICE, 3))
time.sleep(600)
"""


def _tap(device: str) -> str:
    """The kernel shows it when it is there."""
    return _in_background(_TAP.replace("DEVICE", repr(device)), "grep -q ' 0003 ' /proc/net/packet")


def _tapped(link: Link, device: str) -> Way:
    return Way(link, Conditions(tapped=True), setup=_tap(device))


# The sender's namespace is made later, by nettrace itself: whoever is told of a mount can be there before its device.
_TAP_OF_A_NAMESPACE = """
import ctypes, os, select, socket, time
os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
mounts = open("/proc/self/mountinfo")
changed = select.poll()
changed.register(mounts, select.POLLPRI)
open("/run/waits", "w")
while not (made := [line.split()[4] for line in mounts if "/nettrace-" in line and line.split()[4].endswith("-tx")]):
    changed.poll()
    mounts.seek(0)
ctypes.CDLL(None).setns(os.open(made[0], os.O_RDONLY), 0x40000000)
tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
time.sleep(600)
"""

# As a container's packets leave its host: a namespace between the workload and the NIC, which answers for both sides.
# A device that was just made loses packets for a second or two: its neighbour is asked again until it answers, where
# three questions, each a second, and an answer that waits up to 0.8 s were "No route to host" now and then.
_ROUTER = """
set -e
ip netns add router
ip link add inside type veth peer name outside netns router
ip link set eth0 netns router
ip address add 10.0.2.15/24 dev inside
ip link set inside up
router() { ip netns exec router "$@"; }
router ip link set eth0 up
router ip link set outside up
router ip address add 10.0.2.14/32 dev eth0
router ip route add 10.0.2.2 dev eth0
router ip route add 10.0.2.15 dev outside
router sh -c 'cd /proc/sys/net/ipv4; for one in ip_forward conf/*/proxy_arp; do echo 1 >$one; done'
patient='cd /proc/sys/net/ipv4/neigh; for one in */retrans_time_ms */mcast_solicit; do echo 100 >$one; done'
sh -c "$patient"
router sh -c "$patient; echo 0 >outside/proxy_delay; echo 0 >eth0/proxy_delay"
"""

# --bounce comes last: it needs another boot.
LINKS = {
    "lo": Way(Link.LO),
    "veth": Way(Link.VETH),
    "nic": Way(Link.NIC),
    "nic --no-sg": Way(Link.NIC, Conditions(linear=True), {"scatter_gather": False}),
    "nic --bounce": Way(Link.NIC, Conditions(bounced=True), {"bounce": True}),
}
READINGS = {f"lo {one}": Way(Link.LO, fields={"receive": one}) for one in RECEIVE_NAMES if one != USUAL_RECEIVE.name}
OVER_IPV6 = {f"{link} --ipv6": Way(link, Conditions(ipv6=True), {"ipv6": True}) for link in (Link.LO, Link.VETH)}
TAPPED = {
    "lo tapped": _tapped(Link.LO, "lo"),
    "veth tapped": Way(
        Link.VETH, Conditions(tapped=True), setup=_in_background(_TAP_OF_A_NAMESPACE, "[ -e /run/waits ]")
    ),
    "nic tapped": _tapped(Link.NIC, "eth0"),
}
FORWARDED = {"nic forwarded": Way(Link.NIC, Conditions(forwarded=True), setup=_ROUTER)}
DISTURBED = {
    "nic tx-off": Way(Link.NIC, Conditions(summed=True), setup="ethtool -K eth0 tx off"),
    "lo netem-loss": _with_qdisc("netem loss 10%"),
    "lo netem-duplicate": _with_qdisc("netem duplicate 20%"),
    "lo full-qdisc": _with_qdisc("netem limit 1 delay 2ms"),
}


class Section(NamedTuple):
    """Each of some modes on each of some ways."""

    title: str
    ways: Mapping[str, Way]
    modes: tuple[str, ...]


# One of each way of handing bytes over.
_SIX = ("onecopy", "zerocopy", "sendfile", "uring-zerocopy-fixed", "ktls", "udp-zerocopy")
SECTIONS = (
    Section("Every mode on every link", LINKS, NAMES),
    Section("Every way to read, over loopback", READINGS, ("onecopy", "zerocopy", "sendfile")),
    Section("Over IPv6", OVER_IPV6, _SIX),
    Section("With a packet tap on the device", TAPPED, _SIX),
    Section(
        "Forwarded to the NIC by another namespace", FORWARDED, ("onecopy", "zerocopy", "sendfile", "udp-zerocopy")
    ),
    Section("Without checksum offload, and where packets are lost, doubled or refused", DISTURBED, STUDIED),
)
# Those that the README shows.
TEN = (
    "onecopy", "zerocopy", "zerocopy-more", "sendfile", "vmsplice", "uring-zerocopy-fixed", "ktls", "udp", "udp-gso",
    "udp-zerocopy",
)  # fmt: skip
WAYS = {name: way for section in SECTIONS for name, way in section.ways.items()}
