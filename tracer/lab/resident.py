"""A process of the guest that has everything loaded and compiled, and forks for each command.

Python's imports, LLVM and a compilation take an emulated processor 8 s; a fork takes 0.1 s. The first command leaves
the resident behind. The agent, told of its socket, hands the next command's standard streams over, and gets the pid
of the child, to which it passes signals on, and its exit code.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import struct
import traceback
from collections.abc import Callable
from pathlib import Path

# How soon a resident whose socket was removed ends: nobody can reach it any more.
_LOOK_MS = 2000


Job = Callable[[int | None], int]
"""Gets the pidfd of the child that did the job before, which may still be ending; gives the exit code."""


def leave_behind(address: Path, job: Job) -> None:
    """Fork a resident that does this job for everyone who comes to the address; it ends when that is removed."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    address.unlink(missing_ok=True)
    listener.bind(str(address))
    listener.listen()
    if os.fork() == 0:
        try:
            _serve(listener, address, job)
        finally:
            os._exit(0)
    listener.close()


def _serve(listener: socket.socket, address: Path, job: Job) -> None:
    os.setsid()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nowhere, stream)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children tell their status themselves
    own = address.stat().st_ino
    waiting = select.poll()
    waiting.register(listener, select.POLLIN)
    last: int | None = None
    while address.exists() and address.stat().st_ino == own:
        if waiting.poll(_LOOK_MS):
            connection, _ = listener.accept()
            child = _answer(connection, job, last)
            if last is not None:
                os.close(last)
            last = child


def _answer(connection: socket.socket, job: Job, last: int | None) -> int:
    """Fork for one command; the child's pidfd."""
    with connection:
        _, streams, _, _ = socket.recv_fds(connection, 16, 3)
        # A session of its own: the pid is also its process group's.
        pid = os.fork()
        if pid == 0:
            _become(connection, streams, job, last)
        child = os.pidfd_open(pid)
        connection.send(struct.pack("!i", pid))
        for stream in streams:
            os.close(stream)
    return child


def _become(connection: socket.socket, streams: list[int], job: Job, last: int | None) -> None:
    status = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for place, stream in enumerate(streams):
            os.dup2(stream, place)
            os.close(stream)
        status = job(last)
    except KeyboardInterrupt:  # before the job could take it
        status = 128 + signal.SIGINT
    except BaseException:
        traceback.print_exc()
    finally:
        connection.send(struct.pack("!i", status))
        os._exit(status)
