"""A worker forked from this process instead of started anew: an emulated CPU takes a second for Python's start.

Only for a process that runs no thread of its own and times nothing: the worker drags the parent's memory along.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
from typing import IO

from workloads.child.worker import Control, serve

_MANY = 1 << 16


class ForkedWorker:
    """Stands in for subprocess.Popen; its last words go to the parent's standard error."""

    stderr: IO[bytes] | None = None

    def __init__(self, control: int) -> None:
        self._process = multiprocessing.get_context("fork").Process(target=_work, args=(control,))
        self._process.start()
        self.pid = self._process.pid or 0

    def wait(self, timeout: float | None = None) -> int:
        """Exit status, -N after signal N.

        Raises:
            subprocess.TimeoutExpired: it did not end in so many seconds.
        """
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("worker", timeout or 0)
        return self._process.exitcode

    def kill(self) -> None:
        """Send SIGKILL."""
        self._process.kill()


def _work(control: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.setsid()
    # Above all the parent's ends of the control sockets: a worker ends when they do.
    os.closerange(3, control)
    os.closerange(control + 1, _MANY)
    serve(Control(control))
