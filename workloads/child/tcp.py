"""What TCP itself says about a connection: struct tcp_info, linux/tcp.h, user ABI whose offsets never move."""

from __future__ import annotations

import contextlib
import errno
import socket
import sys
from typing import TYPE_CHECKING

from workloads.child.crew import Refused

if TYPE_CHECKING:
    from workloads.child.udp import Datagrams

# Offset and end in the struct; its first byte is the state.
_FIELDS = {
    "snd_mss": slice(16, 20),
    "unacked": slice(24, 28),
    "bytes_acked": slice(120, 128),
    "bytes_received": slice(128, 136),
    "segs_in": slice(140, 144),
    "notsent_bytes": slice(144, 148),
    "data_segs_in": slice(152, 156),  # Linux 4.6
    "bytes_sent": slice(200, 208),
    "bytes_retrans": slice(208, 216),
    "snd_wnd": slice(228, 232),  # Linux 5.16
}
# enum in net/tcp_states.h. A sender's FIN has been acknowledged in these; a receiver has got one in CLOSE_WAIT.
_FIN_WAIT2, _TIME_WAIT, _CLOSE, _CLOSE_WAIT = 5, 6, 7, 8

_INT_MAX = (1 << 31) - 1

Info = dict[str, int | None]


def set_buffer(connection: socket.socket, option: int, asked: int | None) -> None:
    """The kernel gives twice what is asked for, and less than that without a word.

    Raises:
        Refused: it gives something else.
    """
    if asked is None:
        return
    connection.setsockopt(socket.SOL_SOCKET, option, min(asked, _INT_MAX))
    given = connection.getsockopt(socket.SOL_SOCKET, option)
    if given != 2 * asked:
        raise Refused("sndbuf" if option == socket.SO_SNDBUF else "rcvbuf", errno.EINVAL, f"{given // 2}")


def tcp_info(connection: socket.socket | Datagrams) -> Info:
    """Its state and counters, by their names without "tcpi_"; None where this kernel does not tell.

    Bytes are payload: the sequence numbers that SYN and FIN take up are in tcpi_bytes_acked of who connected and in
    tcpi_bytes_received of who accepted (tcp_snd_una_update() and tcp_rcv_nxt_update()), and are taken out again.
    """
    data = b""
    with contextlib.suppress(OSError):
        data = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    found: Info = {name: _number(data, where) for name, where in _FIELDS.items()}
    found["state"] = state = data[0] if data else None
    _take_out(found, "bytes_acked", 2 if state in (_FIN_WAIT2, _TIME_WAIT, _CLOSE) else 1)
    _take_out(found, "bytes_received", 1 if state == _CLOSE_WAIT else 0)
    return found


def acks_of(info: Info) -> int | None:
    """Packets without payload that who connected has got, but for those that opened and closed the connection.

    The peer's FIN is one of its own where nothing came before it, as to one that sends and does not read.
    """
    all_of_them, with_payload = info["segs_in"], info["data_segs_in"]
    if all_of_them is None or with_payload is None:
        return None
    opening_and_closing = 2 if info["state"] in (_TIME_WAIT, _CLOSE) else 1
    return max(0, all_of_them - with_payload - opening_and_closing)


def is_window_closed(info: Info) -> bool:
    """Whether it is the peer's window that keeps TCP from sending what it has.

    A window below one segment is as good as none (RFC 9293, 3.8.6.2.1). Where the kernel does not tell it: nothing is
    in flight although something waits.
    """
    window, segment = info["snd_wnd"], info["snd_mss"]
    if not info["notsent_bytes"]:
        return False
    return not info["unacked"] if window is None or segment is None else window < segment


def _number(data: bytes, where: slice) -> int | None:
    return int.from_bytes(data[where], sys.byteorder) if len(data) >= where.stop else None


def _take_out(found: Info, name: str, sequence_numbers: int) -> None:
    count = found[name]
    if count is not None:
        found[name] = max(0, count - sequence_numbers)


def sum_known(counts: list[int | None]) -> int | None:
    """Their sum; None where one is unknown."""
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None
