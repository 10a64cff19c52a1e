"""Recordings made of literal numbers, for the pure tests."""

from __future__ import annotations

from typing import Any

import msgspec

from tracer.model import (
    SCHEMA,
    Completions,
    CpuTime,
    Experiment,
    Host,
    Latency,
    Link,
    Nic,
    Observation,
    Recording,
    Tally,
    Workload,
)
from tracer.model.watching import Subject

# 23 messages of 10007 bytes: odd and prime, so that nothing adds up by accident.
SIZE, MESSAGES = 10007, 23
PAYLOAD = SIZE * MESSAGES
PAGES = 92

_POINTS = ("cgroup_egress", "cgroup_ingress", "skb_copy_datagram_iovec", "cgroup_egress:again")


def subject(asked: Experiment) -> Subject:
    return Subject(kind="workload", argv=["nettrace", "run", asked.mode], pids=[12, 11], exit_status=0, user=0)


def experiment(mode: str = "zerocopy", link: Link = Link.LO, **other: Any) -> Experiment:
    return Experiment(mode=mode, size=SIZE, messages=MESSAGES, link=link, **other)


def host(**other: Any) -> Host:
    nic = Nic(device="lo", driver=None, scatter_gather=True, tx_checksum=True, tso=True)
    fields: dict[str, Any] = {
        "kernel": "6.18.44", "where": "host", "emulated": False, "cpu": "AMD EPYC", "cores": 2, "nic": nic,
        "congestion_control": "cubic", "optmem_max": 131072, "memlock": 8388608,
    }  # fmt: skip
    return Host(**{**fields, **other})


def ethernet(**other: Any) -> Nic:
    """A NIC that can do everything, but for what is given."""
    fields: dict[str, Any] = {
        "device": "eth0", "driver": "e1000e", "scatter_gather": True, "tx_checksum": True, "tso": True, "gso": True,
        "kind": "ethernet", "mtu": 1500,
    }  # fmt: skip
    return Nic(**{**fields, **other})


def workload(mode: str = "zerocopy", *, copied: int = MESSAGES, elapsed_s: float = 0.001, **other: Any) -> Workload:
    """One pass of the engine; `copied` of its 23 completions say that the bytes were copied."""
    completions = Completions(total=MESSAGES, copied=copied, zerocopy=MESSAGES - copied, ranges=7)
    fields: dict[str, Any] = {
        "payload_bytes": PAYLOAD, "messages": MESSAGES, "sends": MESSAGES, "short_sends": 0, "elapsed_s": elapsed_s,
        "throughput_bytes_per_s": PAYLOAD / elapsed_s, "latency_ns": Latency(p50=9000, p90=12000, p99=31000, max=90500),
        "completions": completions if mode == "zerocopy" else None, "enobufs": 0, "enobufs_limit": None,
        "received_bytes": PAYLOAD, "verified": None, "packed_bytes": PAYLOAD if mode == "twocopy" else 0,
        "retransmitted_bytes": 0, "bytes_sent": PAYLOAD,
        "sender_cpu_ns": CpuTime(user=100000, system=700000), "receiver_cpu_ns": CpuTime(user=50000, system=450000),
    }  # fmt: skip
    return Workload(**{**fields, **other})


def tallies(**counted: tuple[int, ...]) -> dict[str, Tally]:
    """All points of the tracepoint observer at zero, but for those given as point__state=(events, bytes[, pages])."""
    found = {}
    for point in _POINTS:
        for state in ("copied", "zerocopy", "mixed", "linear"):
            has_pages = point in ("cgroup_egress", "cgroup_egress:again") and state in ("zerocopy", "mixed")
            found[f"{point}:{state}"] = Tally(events=0, bytes=0, pages=0 if has_pages else None)
    for name, (events, size, *pages) in counted.items():
        found[name.replace("__", ":")] = Tally(events=events, bytes=size, pages=pages[0] if pages else None)
    return found


def tracepoints(lost: int | None = 0, **counted: tuple[int, ...]) -> Observation:
    attached = {"kfree_skb": "tracepoint"}
    return Observation(observer="tracepoints", tallies=tallies(**counted), attached=attached, lost=lost)


def looped(retransmitted: int = 0, **other: Any) -> Recording:
    """zerocopy over lo: all pinned, all copied after all."""
    sent = PAYLOAD + retransmitted
    observation = tracepoints(
        cgroup_egress__zerocopy=(9, sent, PAGES),
        cgroup_ingress__copied=(9, sent),
        skb_copy_datagram_iovec__copied=(11, PAYLOAD),
        **{"cgroup_egress:again__zerocopy": (1 if retransmitted else 0, retransmitted, 0)},
    )
    observed = workload(elapsed_s=0.0011, retransmitted_bytes=retransmitted, bytes_sent=sent)
    return recording(observation, **{"observed": observed, **other})


def copied(mode: str = "onecopy", **other: Any) -> Recording:
    """A copying mode over lo."""
    observation = tracepoints(
        cgroup_egress__copied=(9, PAYLOAD),
        cgroup_ingress__copied=(9, PAYLOAD),
        skb_copy_datagram_iovec__copied=(11, PAYLOAD),
    )
    return recording(observation, mode, **other)


def recording(observation: Observation, mode: str = "zerocopy", link: Link = Link.LO, **other: Any) -> Recording:
    """Done where that can be done without a peer: a NIC is the lab's."""
    is_nic = link is Link.NIC
    asked = experiment(mode, link, lab="6.12") if is_nic else experiment(mode, link)
    fields: dict[str, Any] = {
        "schema": SCHEMA, "subject": subject(asked), "version": "0.1.0", "experiment": asked,
        "host": host(nic=ethernet(), where="lab", kernel="6.12.94") if is_nic else host(),
        "workload": workload(mode), "observed": workload(mode, elapsed_s=0.0011), "observations": [observation],
        "complete": True,
    }  # fmt: skip
    return Recording(**{**fields, **other})


def changed(base: Recording, **fields: Any) -> Recording:
    return msgspec.structs.replace(base, **fields)
