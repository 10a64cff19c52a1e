"""A network device and the offloads that decide where the payload is copied.

Asked and set by ethtool's ioctl on one 32-bit value, which is less than any library needs for it and takes no import
time. linux/ethtool.h, net/ethtool/ioctl.c.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import socket
import struct
from collections.abc import Iterator

from tracer.errors import MachineError, NettraceError, PrivilegeError
from tracer.machine.namespaces import inside
from tracer.machine.rtnetlink import device_kind, queue_drops
from tracer.model import Nic

_SIOCETHTOOL = 0x8946
_GET_DRIVER, _GET_TX_CHECKSUM, _GET_SCATTER_GATHER, _SET_SCATTER_GATHER, _GET_TSO = 0x03, 0x16, 0x18, 0x19, 0x1E
_GET_GSO = 0x23
_SIOCGIFMTU, _SIOCGIFHWADDR, _ARPHRD_LOOPBACK = 0x8921, 0x8927, 772  # linux/sockios.h, linux/if_arp.h
_VALUE = struct.Struct("II")  # struct ethtool_value: cmd, data
_DRIVER = struct.Struct("I32s160x")  # struct ethtool_drvinfo: cmd, driver, and more that nobody asks for


def read_nic(device: str, netns: str | None = None) -> Nic:
    """A device and its offloads; what its driver does not tell is None.

    Raises:
        MachineError: if the namespace has no such device.
    """
    return inside(netns, lambda: _read_nic(device))


def _read_nic(device: str) -> Nic:
    driver = _ask(device, _DRIVER.pack(_GET_DRIVER, b""))
    return Nic(
        device=device,
        driver=_DRIVER.unpack(driver)[1].rstrip(b"\0").decode(errors="replace") if driver else None,
        scatter_gather=_flag(device, _GET_SCATTER_GATHER),
        tx_checksum=_flag(device, _GET_TX_CHECKSUM),
        tso=_flag(device, _GET_TSO),
        gso=_flag(device, _GET_GSO),
        kind=_kind(device),
        mtu=_of_interface(device, _SIOCGIFMTU, "16xi"),
    )


def dropping_qdiscs(device: str, netns: str | None = None) -> list[str]:
    """Queueing disciplines of a device that have dropped packets, "netem on lo"."""
    drops = inside(netns, lambda: list(queue_drops(socket.if_nametoindex(device))))
    return sorted({f"{kind} on {device}" for kind, dropped in drops if dropped})


def _kind(device: str) -> str:
    """Hardware has no kind; nor has loopback."""
    is_loopback = _of_interface(device, _SIOCGIFHWADDR, "16xH") == _ARPHRD_LOOPBACK
    return "loopback" if is_loopback else device_kind(socket.if_nametoindex(device)) or "ethernet"


def _of_interface(device: str, question: int, layout: str) -> int:
    """One number of struct ifreq (netdevice(7))."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        answer = fcntl.ioctl(control, question, struct.pack("15sx24x", device.encode()))
    return int(struct.unpack_from(layout, answer)[0])


def _flag(device: str, command: int) -> bool | None:
    answer = _ask(device, _VALUE.pack(command, 0))
    return None if answer is None else bool(_VALUE.unpack(answer)[1])


def _ask(device: str, command: bytes) -> bytes | None:
    try:
        return _ethtool(device, command)
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            return None
        raise _refusal(f"cannot read the offloads of {device}", error) from error


def _ethtool(device: str, command: bytes) -> bytes:
    """The command as the kernel has filled it in. In struct ifreq, the address of the command follows the name."""
    buffer = ctypes.create_string_buffer(command, len(command))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, _SIOCETHTOOL, struct.pack("15sxP16x", device.encode(), ctypes.addressof(buffer)))
    return buffer.raw


@contextlib.contextmanager
def set_scatter_gather(device: str, on: bool, netns: str | None = None) -> Iterator[None]:
    """Scatter-gather of a device as asked, for the time of the block. Without it TCP segmentation is off too.

    Raises:
        PrivilegeError: if this user may not (CAP_NET_ADMIN).
        MachineError: if there is no such device, or its driver cannot switch.
    """
    before = read_nic(device, netns).scatter_gather
    if before == on:
        yield
        return
    inside(netns, lambda: _switch(device, on))
    try:
        yield
    finally:
        inside(netns, lambda: _switch(device, not on))


def _switch(device: str, on: bool) -> None:
    try:
        _ethtool(device, _VALUE.pack(_SET_SCATTER_GATHER, on))
    except OSError as error:
        raise _refusal(f"cannot switch scatter-gather of {device} {'on' if on else 'off'}", error) from error


def _refusal(what: str, error: OSError) -> NettraceError:
    reason = error.strerror or str(error)
    if error.errno == errno.EPERM:
        return PrivilegeError(what, f"{reason}: this needs CAP_NET_ADMIN", "run it with sudo")
    if error.errno == errno.EOPNOTSUPP:
        return MachineError(what, "its driver has that fixed", "use a device that can, or the lab's: --lab --no-sg")
    return MachineError(what, reason, "ip link shows the devices there are")
