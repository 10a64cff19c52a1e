"""The process that sends or receives: `python -m workloads.child.worker FD`, where FD is a SOCK_SEQPACKET socket.

One JSON message each way at a time. The first one says who to be; then, for every pass:

    prepare -> {"ready": true}          connections are made, threads are parked
    go                                  (sender only) the gate opens
    stop                                end now, at any time
                                     <- {"threads": [...], "latency_ns": {...}}    when all threads have ended

A failure is {"error": {...}}; the end of the control socket ends the process. Nothing heavy is imported: a worker has
to be there in some 60 ms.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import select
import signal
import socket
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from workloads.child.crew import Receiver, Refused, Sender
from workloads.engine._engine import ffi, lib

# A peer that reads takes the rest of a message in this time; one that does not is not waited for.
STOP_GRACE_S = 0.1


def enter_namespace(path: str) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise Refused("netns", error.errno or errno.ENOENT, path) from error
    try:
        if lib.setns(descriptor, lib.CLONE_NEWNET):
            raise Refused("netns", ffi.errno, path)
    finally:
        os.close(descriptor)


def enter_cgroup(directory: str) -> None:
    """Before any socket is made: a socket belongs to the cgroup that its maker was in."""
    try:
        (Path(directory) / "cgroup.procs").write_text("0")
    except OSError as error:
        raise Refused("cgroup", error.errno or errno.EPERM, directory) from error


def drop_privileges(uid: int, gid: int) -> None:
    try:
        os.setgroups([gid])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    except OSError as error:
        raise Refused("privileges", error.errno or errno.EPERM, str(uid)) from error
    # A change of user clears both: perf and BPF may look at a dumpable process, and a killed parent must end us.
    lib.prctl(lib.PR_SET_DUMPABLE, ffi.cast("unsigned long", 1))


def settle(config: dict[str, Any]) -> None:
    """Become what the parent asks for, in the one order that works."""
    if config["cgroup"]:
        enter_cgroup(config["cgroup"])
    if config["netns"]:
        enter_namespace(config["netns"])
    if config["uid"] is not None:
        drop_privileges(config["uid"], config["gid"])
    lib.prctl(lib.PR_SET_PDEATHSIG, ffi.cast("unsigned long", signal.SIGKILL))
    if os.getppid() != config["parent"]:
        os._exit(1)


class Control:
    """The parent's end of the conversation."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)

    def fileno(self) -> int:
        return self._socket.fileno()

    def tell(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._socket.send(json.dumps(message).encode())

    def hear(self) -> dict[str, Any]:
        """The next order; the parent's end is ours."""
        data = b""
        with contextlib.suppress(ConnectionResetError):
            data = self._socket.recv(1 << 20)
        if not data:
            os._exit(0)
        order: dict[str, Any] = json.loads(data)
        return order


def do_pass(side: Sender | Receiver, control: Control, order: dict[str, Any]) -> None:
    crew = side.prepare(order)
    control.tell({"ready": True})
    poll = select.poll()
    for source in (control.fileno(), crew.ended):
        poll.register(source, select.POLLIN)
    at, then = math.inf, crew.cut_off
    while True:
        left_ms = None if at == math.inf else max(0.0, at - time.monotonic()) * 1000
        events = {descriptor for descriptor, _ in poll.poll(left_ms)}
        if crew.ended in events:
            break
        if control.fileno() in events:
            if control.hear()["do"] == "stop":
                crew.stop(lib.ENGINE_STOP_NOW)
                at, then = time.monotonic() + STOP_GRACE_S, crew.cut_off
            elif order["duration_s"]:
                at, then = time.monotonic() + order["duration_s"], partial(crew.stop, lib.ENGINE_FINISH)
            side.release()
        elif time.monotonic() >= at:
            then()
            at = math.inf
    control.tell(side.finish(crew))


def serve(control: Control) -> None:
    try:
        config = control.hear()
        settle(config)
        side = Sender() if config["role"] == "sender" else Receiver(config)
        control.tell(side.hello())
        while True:
            order = control.hear()
            if order["do"] == "prepare":
                do_pass(side, control, order)
    except Refused as refused:
        control.tell({"error": {"during": refused.during, "code": refused.code, "detail": refused.detail}})


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serve(Control(int(sys.argv[1])))
