"""In which order the kernel runs several programs that stand at one hook: tried, with two that note their turn."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterator

from tracer.observers import loading
from tracer.observers.loading import Kind
from tracer.observers.maps import Maps

# What a socket that listens comes by.
_TRIED = {Kind.TP_BTF: "inet_sock_set_state", Kind.FENTRY: "inet_listen", Kind.FEXIT: "inet_listen"}
_PROGRAM, _NOTED = "note_rank", "ran"  # of bpf/sockets/once.h
_AS_ATTACHED, _REVERSED = 0x12, 0x21

# (function, kind, target, rank) -> its program's descriptor.
Load = Callable[[str, Kind, str, int], int]


def runs_as_attached(kind: Kind, load: Load, maps: Maps) -> bool | None:
    """Whether whoever was attached first runs first; False if last; None where this cannot be seen.

    Raises:
        Refusal: the kernel does not take the programs that would tell.
    """
    maps.set(_NOTED, 0, bytes(8))
    with _both(kind, load), contextlib.suppress(OSError):
        _listen()
    noted = int.from_bytes(maps.element(_NOTED, 0)[0], "little")
    return {_AS_ATTACHED: True, _REVERSED: False}.get(noted)


@contextlib.contextmanager
def _both(kind: Kind, load: Load) -> Iterator[None]:
    with contextlib.ExitStack() as attached:
        for rank in (0, 1):
            link = loading.attach(load(_PROGRAM, kind, _TRIED[kind], rank), kind)
            attached.callback(os.close, link)
        yield


def _listen() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
