"""A program: a run whose driver does not take all packets at once, between two namespaces of its own.

Since 6.16 a veth says NETDEV_TX_BUSY when its peer's ring of 256 packets is full, if it has a qdisc where they can wait
(veth_xmit(), drivers/net/veth.c); the ring is there where the peer does GRO. A message is a packet of up to 321
segments here, which the device is given one after the other, and on one CPU nobody empties the ring meanwhile.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from tests.command import nettrace
from tests.commands.test_serve import inside, serving
from tracer.machine.links import PREFIX_LENGTH, SENDER_ADDRESS, OpenLink, open_link
from tracer.model import Link

SIZE, MESSAGES = 65_537, 53

# BBR would send 127 segments at a time at most (bbr_tso_segs_goal()).
SMALL_SEGMENTS = (
    "ethtool -K {device} tso off",
    "ip link set {device} mtu 256",
    "ip route change {network} dev {device} src {address} congctl reno",
    "tc qdisc add dev {device} root {qdisc}",
)
A_RING = ("ethtool -K {device} gro on",)


def ask(netns: str | None, command: str) -> str:
    return subprocess.run([*inside(netns), *command.split()], check=True, stdout=subprocess.PIPE, text=True).stdout


def prepare(link: OpenLink, qdisc: str) -> None:
    """Make the ring one that a message overfills."""
    network = f"{SENDER_ADDRESS.rpartition('.')[0]}.0/{PREFIX_LENGTH}"
    for netns, commands in ((link.sender_netns, SMALL_SEGMENTS), (link.receiver_netns, A_RING)):
        for command in commands:
            ask(netns, command.format(device=link.device, network=network, address=SENDER_ADDRESS, qdisc=qdisc))


def requeued(link: OpenLink) -> int:
    """Packets that the qdisc has had to take back."""
    (qdisc,) = json.loads(ask(link.sender_netns, f"tc -j -s qdisc show dev {link.device}"))
    return int(qdisc["requeues"])


def dropped(link: OpenLink) -> int:
    """Packets that the device has dropped instead."""
    (device,) = json.loads(ask(link.sender_netns, f"ip -j -s link show dev {link.device}"))
    return int(device["stats64"]["tx"]["dropped"])


def run_over(link: OpenLink, mode: str, observer: str) -> dict[str, Any]:
    """The document of a run to the other namespace, which is another machine to it."""
    process, port = serving("--once", before=inside(link.receiver_netns))
    try:
        done = nettrace(
            "run", mode, "--size", SIZE, "--messages", MESSAGES, "--link", "nic", "--peer", f"{link.address}:{port}",
            "--observer", observer, "--json", before=inside(link.sender_netns), timeout=240,
        )  # fmt: skip
        found: dict[str, Any] = json.loads(done.stdout)
        return found
    finally:
        process.terminate()
        process.communicate(timeout=240)


def main(mode: str, observer: str, qdisc: str = "pfifo limit 10000") -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with open_link(Link.VETH) as link:
        prepare(link, qdisc)
        document = run_over(link, mode, observer)
        print(json.dumps({"document": document, "requeued": requeued(link), "dropped": dropped(link)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
