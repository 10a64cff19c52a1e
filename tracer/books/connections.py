"""What the engine counted of each connection, in the words of a recording: calls by way, where nobody watched these.

Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from tracer.books.modes import Mode
from tracer.books.receiving import Receive, taken_by
from tracer.books.results import Reply
from tracer.model.sockets import Refused, Socket, Transfer


class End(NamedTuple):
    """The process at one end of the connections.

    Args:
        threads: What each of its threads counted, by the sender's port.
    """

    pid: int
    comm: str
    threads: Mapping[int, Reply]


def by_port(reply: Reply) -> dict[int, Reply]:
    """What each thread counted, by the sender's port of its connection."""
    return {int(thread["port"]): thread for thread in reply["threads"]}


class Witness:
    """The engine of a workload; what it did not count stays as it was.

    Args:
        receive: How the receiver reads.
        receiver: None where it is not ours, or could not say.
    """

    def __init__(self, mode: Mode, receive: Receive, sender: End, receiver: End | None) -> None:
        self._mode, self._receive, self._sender, self._receiver = mode, receive, sender, receiver

    def named(self, socket: Socket) -> Socket:
        """The socket with its calls by way, and whose it is."""
        own, other = (int(end.rpartition(":")[2]) for end in (socket.local, socket.peer))
        if (thread := self._sender.threads.get(own)) is not None:
            sent, refused = sent_by(self._mode, thread), Refused(enobufs=thread["enobufs"], other=thread["enomem"])
            return _of(self._sender, msgspec.structs.replace(socket, sent=sent, refused=refused))
        if self._receiver is not None and (thread := self._receiver.threads.get(other)) is not None:
            read, beside = read_by(self._receive, thread), thread["leftover_bytes"]
            return _of(self._receiver, msgspec.structs.replace(socket, read=read, copybuf_bytes=beside))
        return socket


def _of(end: End, socket: Socket) -> Socket:
    return msgspec.structs.replace(socket, pids=[end.pid], comm=end.comm)


def sent_by(mode: Mode, thread: Reply) -> dict[str, Transfer]:
    """What a sending thread handed over: in its mode's way, but for headers that went ahead, copied."""
    sends, size = thread["sends"], thread["bytes"]
    if not mode.header:
        return _used({mode.way: Transfer(calls=sends, bytes=size)})
    asked, asked_bytes = thread["asked_sends"], thread["asked_bytes"]
    return _used(
        {
            mode.way: Transfer(calls=asked, bytes=asked_bytes),
            "copy": Transfer(calls=sends - asked, bytes=size - asked_bytes),
        }
    )


def read_by(receive: Receive, thread: Reply) -> dict[str, Transfer]:
    """What a receiving thread took: a call that mapped some pages and copied the rest is one of both."""
    taken, reads = taken_by(receive, thread), thread["reads"]
    calls = dict.fromkeys(taken, int(reads))
    if receive.wants_pages:
        calls = {"mapped": thread["mapped_reads"], "copy": thread["copied_reads"]}
    return _used({way: Transfer(calls=calls[way], bytes=size) for way, size in taken.items()})


def _used(ways: dict[str, Transfer]) -> dict[str, Transfer]:
    return {way: moved for way, moved in ways.items() if moved.calls}
