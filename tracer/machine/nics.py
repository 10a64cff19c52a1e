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

from tracer.errors import MachineError, NettraceError, reason_of
from tracer.machine.namespaces import inside
from tracer.machine.privilege import refusal
from tracer.model import Nic

_SIOCETHTOOL = 0x8946
_GET_DRIVER, _GET_TX_CHECKSUM, _GET_SCATTER_GATHER, _SET_SCATTER_GATHER, _GET_TSO = 0x03, 0x16, 0x18, 0x19, 0x1E
_GET_GSO = 0x23
_VALUE_OF_IFREQ = struct.Struct("16sI20x")
_SIOCGIFFLAGS, _SIOCGIFMTU, _IFF_LOOPBACK = 0x8913, 0x8921, 0x8  # linux/sockios.h, linux/if.h
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
        kind=_kind(device, driver),
        mtu=_mtu(device),
    )


def _kind(device: str, driver: bytes | None) -> str | None:
    """The kernel's name for the kind of a device; its driver tells, but for loopback, which has none to ask."""
    if _flags(device) & _IFF_LOOPBACK:
        return "loopback"
    name = _DRIVER.unpack(driver)[1].rstrip(b"\0").decode(errors="replace") if driver else ""
    return name if name in _SOFTWARE_DEVICES else "ethernet" if name else None


# Drivers of devices without hardware, drivers/net/: their packets may stay on this machine.
_SOFTWARE_DEVICES = frozenset({"bridge", "dummy", "ipvlan", "macvlan", "macvtap", "tun", "veth", "vxlan", "wireguard"})


def _flags(device: str) -> int:
    return int(_VALUE_OF_IFREQ.unpack(_interface(device, _SIOCGIFFLAGS))[1]) & 0xFFFF


def _mtu(device: str) -> int | None:
    return int(_VALUE_OF_IFREQ.unpack(_interface(device, _SIOCGIFMTU))[1])


def _interface(device: str, command: int) -> bytes:
    """A question that netdevice(7) answers in struct ifreq: the name, then a union whose first member is the answer."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        try:
            return bytes(fcntl.ioctl(control, command, _VALUE_OF_IFREQ.pack(device.encode(), 0)))
        except OSError as error:
            raise _refusal(f"cannot ask for the settings of {device}", error) from error


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
    reason = reason_of(error)
    if error.errno == errno.EPERM:
        return refusal(what, reason, "CAP_NET_ADMIN")
    if error.errno == errno.EOPNOTSUPP:
        return MachineError(what, "its driver has that fixed", "use a device that can, or the lab's: --lab --no-sg")
    return MachineError(what, reason, "ip link shows the devices there are")
