"""What TCP says of the connections of processes that run already, asked by inet_diag: no program in the kernel.

pyroute2 is imported inside: it takes 0.3 s, and only a kernel that refuses iterators is asked in this way.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from tracer.machine.namespaces import enter_netns_of

# linux/inet_diag.h: bit INET_DIAG_INFO - 1 asks for struct tcp_info.
_WITH_INFO = 1 << 1
_LISTEN = 10


class Connection(NamedTuple):
    """What it had moved when it was asked.

    Args:
        sent: Handed to TCP by send calls, bytes: bytes_sent - bytes_retrans + notsent_bytes.
        received: bytes_received.
    """

    sent: int
    received: int


def connections_of(pids: Iterable[int]) -> dict[int, Connection]:
    """TCP connections among the descriptors of processes, in their network namespaces, by socket cookie.

    One that ends meanwhile, or whose process does, is left out.
    """
    found: dict[int, Connection] = {}
    for members in _by_namespace(pids):
        held = {inode for pid in members for inode in _sockets_of(pid)}
        with contextlib.suppress(OSError):
            asked = _asked_within(Path(f"/proc/{members[0]}/ns/net"))
            found |= {cookie: connection for cookie, inode, connection in asked if inode in held}
    return found


def _by_namespace(pids: Iterable[int]) -> list[list[int]]:
    found: dict[int, list[int]] = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            found.setdefault(Path(f"/proc/{pid}/ns/net").stat().st_ino, []).append(pid)
    return list(found.values())


def _sockets_of(pid: int) -> Iterator[int]:
    """Inodes, as the link of a descriptor names them: "socket:[4711]"."""
    with contextlib.suppress(OSError):
        for entry in os.scandir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                kind, _, rest = str(Path(entry.path).readlink()).partition(":[")
                if kind == "socket":
                    yield int(rest.rstrip("]"))


def _asked_within(namespace: Path) -> list[tuple[int, int, Connection]]:
    """Cookie, inode and what it has moved; asked by a thread of its own, because there may be no way back."""
    with ThreadPoolExecutor(max_workers=1) as executor:
        executor.submit(enter_netns_of, namespace).result()
        return executor.submit(_asked).result()


def _asked() -> list[tuple[int, int, Connection]]:
    from pyroute2 import DiagSocket

    with DiagSocket() as diag:
        diag.bind()
        messages = [
            message for family in (socket.AF_INET, socket.AF_INET6)
            for message in diag.get_sock_stats(family=family, extensions=_WITH_INFO)
        ]  # fmt: skip
    return [told for message in messages if (told := _told(message)) is not None]


def _told(message: Any) -> tuple[int, int, Connection] | None:
    info = message.get_attr("INET_DIAG_INFO")
    if info is None or message["idiag_state"] == _LISTEN:
        return None
    sent = info["tcpi_bytes_sent"] - info["tcpi_bytes_retrans"] + info["tcpi_notsent_bytes"]
    return message["idiag_cookie"], message["idiag_inode"], Connection(sent, info["tcpi_bytes_received"])
