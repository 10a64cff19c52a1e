"""One worker process as its parent sees it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Protocol

from tracer.errors import MachineError, WorkloadError
from workloads.results import Reply, Role

END_DEADLINE_S = 0.5
_PACKAGE_ROOT = Path(__file__).parent.parent


class Started(Protocol):
    """What is needed of a process: of subprocess.Popen, or of what stands in for it."""

    pid: int
    stderr: IO[bytes] | None

    @property
    def returncode(self) -> int | None:
        """None while it runs, -N after signal N."""

    def wait(self, timeout: float | None = None) -> int:
        """Exit status; subprocess.TimeoutExpired if it does not end in so many seconds."""

    def terminate(self) -> None:
        """Send SIGTERM."""

    def kill(self) -> None:
        """Send SIGKILL."""


Start = Callable[[int], Started]


def start_python(control: int) -> Started:
    """A worker in a fresh interpreter, with the control socket of this number."""
    return subprocess.Popen(
        # -P: nothing is imported from the directory that the user happens to be in; the worker may be root.
        [sys.executable, "-P", "-s", "-m", "workloads.worker", str(control)],
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
            raise MachineError(f"cannot start the {role}", str(error)) from error
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
            status = self._process.wait(END_DEADLINE_S)
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

    def _ends_in_time(self) -> bool:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(END_DEADLINE_S)
        return self._process.returncode is not None

    def end(self) -> None:
        """End it, whatever it does: by the end of the control socket, SIGTERM, SIGKILL; and reap it."""
        self._control.close()
        if not self._ends_in_time():
            self._process.terminate()
            if not self._ends_in_time():
                self._process.kill()
                self._process.wait()
        if self._process.stderr is not None:
            self._process.stderr.close()
