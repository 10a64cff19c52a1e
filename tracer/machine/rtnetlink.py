"""What rtnetlink(7) tells of the queue disciplines of a device.

pyroute2 is imported inside: it takes 0.3 s, and a run needs it only where a queue discipline dropped something of its.
"""

from __future__ import annotations

import contextlib
import functools
import socket
from typing import Any

from tracer.machine.namespaces import inside


def dropping_qdiscs(device: str, netns: str | None = None) -> list[str] | None:
    """The queue disciplines of a device that have dropped packets since they were made: ["netem on lo"].

    One that holds another counts what that one drops: the innermost are named. None where the kernel does not tell.
    """
    from pyroute2.netlink.exceptions import NetlinkError

    with contextlib.suppress(NetlinkError, OSError):
        return inside(netns, functools.partial(_dropping, device))
    return None


def _dropping(device: str) -> list[str]:
    from pyroute2 import IPRoute

    with IPRoute() as route:
        found = [qdisc for qdisc in route.get_qdiscs(socket.if_nametoindex(device)) if _drops(qdisc)]
    outer = {qdisc["parent"] >> 16 for qdisc in found}
    return sorted(
        {f"{qdisc.get_attr('TCA_KIND')} on {device}" for qdisc in found if qdisc["handle"] >> 16 not in outer}
    )


def _drops(qdisc: Any) -> int:
    """Packets; linux/gen_stats.h, struct gnet_stats_queue."""
    statistics = qdisc.get_attr("TCA_STATS2")
    queue = statistics.get_attr("TCA_STATS_QUEUE") if statistics else None
    return int(queue["drops"]) if queue else 0
