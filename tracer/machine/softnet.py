"""What a CPU of this machine keeps of the network stack's until it receives something."""

from __future__ import annotations

import contextlib
import os
import socket


def rouse_cpus() -> None:
    """Have each CPU receive an empty datagram, over loopback: first it frees the packets that are left to it.

    A packet that is read on another CPU than it was made on is freed on that one, when 64 of them wait, or when it
    receives something (skb_attempt_defer_free() and skb_defer_free_flush(), net/core/; UDP's since 6.18). Until then a
    zero-copy send may go unnotified.
    """
    own = os.sched_getaffinity(0)
    try:
        with contextlib.suppress(OSError), socket.socket(type=socket.SOCK_DGRAM) as to_itself:
            to_itself.bind(("127.0.0.1", 0))
            to_itself.connect(to_itself.getsockname())
            for cpu in range(os.cpu_count() or 1):
                with contextlib.suppress(OSError):  # it is not this process's to run on
                    os.sched_setaffinity(0, {cpu})
                    to_itself.send(b"", socket.MSG_DONTWAIT)
    finally:
        os.sched_setaffinity(0, own)
