"""One worker process as its parent sees it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Protocol

from tracer.books.results import Reply, Role
from tracer.errors import MachineError, WorkloadError

_DEATH_DEADLINE_S = 0.5
_PACKAGE_ROOT = Path(__file__).parent.parent


class Started(Protocol):
    """What is needed of a process: of subprocess.Popen, or of what stands in for it."""

    pid: int
    stderr: IO[bytes] | None

    def wait(self, timeout: float | None = None) -> int:
        """Exit status, -N after signal N; subprocess.TimeoutExpired if it does not end in so many seconds."""

    def kill(self) -> None:
        """Send SIGKILL."""


Start = Callable[[int], Started]


def start_python(control: int) -> Started:
    """A worker in a fresh interpreter, with the control socket of this number."""
    return subprocess.Popen(
        # -P: nothing is imported from the directory that the user happens to be in; the worker may be root.
        [sys.executable, "-P", "-s", "-m", "workloads.child.worker", str(control)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        pass_fds=[control],
        env={**os.environ, "PYTHONPATH": str(_PACKAGE_ROOT)},
        start_new_session=True,  # the terminal's Ctrl-C is for the parent alone
    )


class WorkerProcess:
    """One worker and the conversation with it.

    Args:
        start: Starts a process that serves the control socket of a number: start_python, or a stand-in where a fresh
            interpreter takes seconds (see workloads.forked).
    """

    def __init__(self, role: Role, config: dict[str, Any], start: Start = start_python) -> None:
        self.role = role
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._process = start(theirs.fileno())
        except OSError as error:
            self._control.close()
            fix = "see what its limits are: ulimit -a; free -m"
            raise MachineError(f"cannot start the {role}", str(error), fix) from error
        finally:
            theirs.close()
        self.pid = self._process.pid
        self.tell({"role": role, "parent": os.getpid(), **config})

    def fileno(self) -> int:
        return self._control.fileno()

    def tell(self, order: dict[str, Any]) -> None:
        # A dead worker is noticed, with its reason, when it is heard next.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._control.send(json.dumps(order).encode())

    def hear(self) -> Reply:
        """The next reply.

        Raises:
            WorkloadError: if the process has died.
        """
        data = b""
        with contextlib.suppress(ConnectionResetError):
            data = self._control.recv(1 << 20)
        if not data:
            raise WorkloadError(
                f"the {self.role} died", self._cause_of_death(), "run it again; if it repeats, report it"
            )
        reply: Reply = json.loads(data)
        return reply

    def _cause_of_death(self) -> str:
        try:
            status = self._process.wait(_DEATH_DEADLINE_S)
        except subprocess.TimeoutExpired:
            return "it closed its control socket"
        cause = (
            f"killed by signal {-status} ({signal.Signals(-status).name})" if status < 0 else f"exit status {status}"
        )
        return f"{cause}{self._last_words()}"

    def _last_words(self) -> str:
        if self._process.stderr is None:
            return ""
        os.set_blocking(self._process.stderr.fileno(), False)
        lines = (self._process.stderr.read() or b"").decode(errors="replace").strip().splitlines()
        return f": {lines[-1]}" if lines else ""

    def is_stopped(self) -> bool:
        """Whether a signal or a debugger has stopped it: it will neither work nor answer."""
        try:
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] in ("T", "t")
        except OSError:
            return False

    def end(self) -> None:
        """End it and reap it. It has nothing to undo, and one that is stopped heeds SIGKILL alone."""
        self._control.close()
        self._process.kill()
        self._process.wait()
        if self._process.stderr is not None:
            self._process.stderr.close()


def first_to_speak(
    workers: Mapping[Role, WorkerProcess], roles: Sequence[Role], deadline: float, wake: int | None = None
) -> Role | None:
    """Which of them has said something; the first of several. None where none has by the deadline (time.monotonic()).

    Args:
        wake: A descriptor that is readable once the user has interrupted; it is not read.

    Raises:
        KeyboardInterrupt: the user has.
    """
    poll = select.poll()
    for descriptor in (*(workers[role].fileno() for role in roles), *(() if wake is None else (wake,))):
        poll.register(descriptor, select.POLLIN)
    events = {descriptor for descriptor, _ in poll.poll(max(0.0, deadline - time.monotonic()) * 1000)}
    if wake in events:
        raise KeyboardInterrupt
    return next((role for role in roles if workers[role].fileno() in events), None)
