"""Whether figures of two moments, or of two machines, can be compared: all that is recorded of them decides. Pure."""

from __future__ import annotations

import re

import msgspec

from tracer.model import Host, Nic
from tracer.units import format_size

# How a difference is told; a fact that is not here is told by its name.
_WORDS = {
    "kernel": "the kernel",
    "where": "the place of the runs",
    "emulated": "emulation of the CPU",
    "cpu": "the CPU",
    "cores": "the number of cores",
    "congestion_control": "TCP's congestion control",
    "optmem_max": "net.core.optmem_max",
    "memlock": "RLIMIT_MEMLOCK",
    "packet_taps": "who taps packets",
    "device": "the device",
    "driver": "the driver",
    "scatter_gather": "scatter-gather",
    "tx_checksum": "checksum offload",
    "tso": "TCP segmentation offload",
    "gso": "generic segmentation offload",
    "kind": "the kind",
    "mtu": "MTU",
}
_IN_BYTES = ("optmem_max", "memlock")
# None is a value of these; of all others it is what nobody could read, and no difference to anything.
_NONE_IS_A_VALUE = {"memlock": "unlimited"}
_PID = re.compile(r" \(pid \d+\)")


def difference_of_hosts(then: Host, now: Host) -> str | None:
    """What makes figures of two hosts incomparable, in words; None if nothing does."""
    device = then.nic.device if then.nic else "the device"
    facts = [(name, "", getattr(then, name), getattr(now, name)) for name in Host.__struct_fields__ if name != "nic"]
    if then.nic is not None and now.nic is not None:
        facts += [
            (name, "" if name == "device" else device, getattr(then.nic, name), getattr(now.nic, name))
            for name in Nic.__struct_fields__
        ]
    return next((_told(*fact) for fact in facts if _differs(*fact)), None)


def _differs(name: str, _owner: str, then: object, now: object) -> bool:
    if name not in _NONE_IS_A_VALUE and (then is None or now is None):
        return False
    return _same_taps(then) != _same_taps(now) if name == "packet_taps" else then != now


def _same_taps(taps: object) -> list[str]:
    """Without process numbers: a tap that was started anew is the same tap."""
    return sorted({_PID.sub("", str(tap)) for tap in msgspec.to_builtins(taps)})


def _told(name: str, owner: str, then: object, now: object) -> str:
    what = _WORDS.get(name, name.replace("_", " "))
    subject = f"{owner} had {what}" if owner else f"{what} was"
    before, after = (_value(name, value) for value in (then, now))
    return f"{subject} {before} when the sweep began, now {after}"


def _value(name: str, value: object) -> str:
    if value is None:
        return _NONE_IS_A_VALUE[name]
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "nobody"
    return format_size(value) if name in _IN_BYTES and isinstance(value, int) else str(value)
