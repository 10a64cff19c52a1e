"""The process that sends or receives: `python -m workloads.child.worker FD`, where FD is a SOCK_SEQPACKET socket.

One JSON message each way at a time. The first one says who to be; then, for every pass:

    prepare -> {"ready": true}          connections are made, threads are parked
    go                                  (sender only) the gate opens
                                     <- {"pulse": {...}}    how far it is, every pulse_s
    stop                                end now, at any time
                                     <- {"threads": [...], "latency_ns": {...}}    when all threads have ended

A failure is {"error": {...}}; the end of the control socket ends the process. Nothing heavy is imported: a worker has
to be there in some 60 ms.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from workloads.child.crew import Crew, Refused
from workloads.child.receiver import Receiver
from workloads.child.sender import Sender
from workloads.engine._engine import ffi, lib


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


def stay_on(cpu: int) -> None:
    """All threads to come, too."""
    try:
        os.sched_setaffinity(0, [cpu])
    except (OSError, OverflowError, ValueError) as error:
        raise Refused("cpu", getattr(error, "errno", None) or errno.EINVAL, str(cpu)) from error


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
    if config["cpu"] is not None:
        stay_on(config["cpu"])
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

    def tell_if_heard(self, message: dict[str, Any]) -> None:
        """Nothing to wait for: a parent that is stopped itself hears the next one."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError, BlockingIOError):
            self._socket.send(json.dumps(message).encode(), socket.MSG_DONTWAIT)

    def hear(self) -> dict[str, Any]:
        """The next order; the parent's end is ours."""
        data = b""
        with contextlib.suppress(ConnectionResetError):
            data = self._socket.recv(1 << 20)
        if not data:
            os._exit(0)
        order: dict[str, Any] = json.loads(data)
        return order


class Agenda:
    """What is to be done when, by CLOCK_MONOTONIC."""

    def __init__(self) -> None:
        self._due: dict[Callable[[], None], float] = {}

    def add(self, what: Callable[[], None], after_s: float) -> None:
        self._due[what] = time.monotonic() + after_s

    def clear(self) -> None:
        self._due.clear()

    def left_ms(self) -> float | None:
        """Until the first of it; None where there is none."""
        return max(0.0, min(self._due.values()) - time.monotonic()) * 1000 if self._due else None

    def do_what_is_due(self) -> None:
        now = time.monotonic()
        for what in [what for what, at in self._due.items() if at <= now]:
            del self._due[what]
            what()


def do_pass(side: Sender | Receiver, control: Control, order: dict[str, Any]) -> None:
    crew, agenda = side.prepare(order), Agenda()

    def pulse() -> None:
        control.tell_if_heard({"pulse": side.progress(crew)})
        agenda.add(pulse, order["pulse_s"])

    control.tell({"ready": True})
    pulse()
    poll = select.poll()
    for source in (control.fileno(), crew.ended):
        poll.register(source, select.POLLIN)
    while crew.ended not in (events := {descriptor for descriptor, _ in poll.poll(agenda.left_ms())}):
        if control.fileno() in events:
            obey(control.hear()["do"], side, crew, agenda, order["duration_s"])
        agenda.do_what_is_due()
    control.tell(side.finish(crew))


def obey(what: str, side: Sender | Receiver, crew: Crew, agenda: Agenda, duration_s: float | None) -> None:
    if what == "stop":
        crew.stop(lib.ENGINE_STOP_NOW)
        agenda.clear()
        agenda.add(crew.cut_off, side.stop_grace_s)
    elif duration_s:
        agenda.add(partial(crew.stop, lib.ENGINE_FINISH), duration_s)
    side.release()


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
    except OSError as error:
        control.tell({"error": {"during": "begin", "code": error.errno, "detail": str(error)}})


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serve(Control(int(sys.argv[1])))
