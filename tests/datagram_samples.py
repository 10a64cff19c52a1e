"""Recordings of datagrams made of literal numbers: 23 of 10007 bytes."""

from __future__ import annotations

from typing import Any

from tests.function_samples import functions
from tests.samples import MESSAGES, PAGES, PAYLOAD, changed, recording, tracepoints, workload
from tracer.model import Link, Observation, Recording

UDP = {"datagrams": True, "bytes_sent": None}


def sample(seen: Observation, mode: str, link: Link = Link.LO, **counted: Any) -> Recording:
    base = recording(seen, mode, link)
    asked = workload("zerocopy" if mode == "udp-zerocopy" else "onecopy", **{**UDP, **counted})
    return changed(base, observed=asked)


def copied(link: Link = Link.LO, **counted: Any) -> Recording:
    """As a device of MTU 1500 gets it: linear from the beginning."""
    passed = {"cgroup_egress__linear": (23, PAYLOAD), "cgroup_ingress__linear": (23, PAYLOAD)}
    return sample(tracepoints(**passed), "udp", link, **counted)


def pinned() -> Recording:
    passed = {"cgroup_egress__zerocopy": (23, PAYLOAD, PAGES), "cgroup_ingress__copied": (23, PAYLOAD)}
    return sample(tracepoints(**passed), "udp-zerocopy", asked_bytes=PAYLOAD, asked_sends=MESSAGES)


def by_functions(zerocopy: bool, **counted: Any) -> Recording:
    rows: dict[str, tuple[int, ...]] = {
        "udp_sendmsg:return": (23, PAYLOAD),
        "ip_send_skb:entry": (23, PAYLOAD),
        "net_dev_start_xmit:payload": (23, PAYLOAD),
        "udp_recvmsg:return": (23, PAYLOAD),
        "__check_object_size:any": (100, 0),
    }
    if zerocopy:
        rows |= {
            "__zerocopy_sg_from_iter:entry": (23, PAYLOAD),
            "mm_account_pinned_pages:entry": (23, PAYLOAD, 115),
            "__msg_zerocopy_callback:copied": (23, PAYLOAD),
            "net_dev_start_xmit:zerocopy": (23, PAYLOAD),
            "skb_copy_ubufs:return": (23, PAYLOAD),
        }
    asked = {"asked_bytes": PAYLOAD, "asked_sends": MESSAGES} if zerocopy else {}
    seen = functions(rows, transport="udp")
    return sample(seen, "udp-zerocopy" if zerocopy else "udp", **asked, **counted)
