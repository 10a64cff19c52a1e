"""All processes of a cgroup, those that enter it later too, and what sockets are made in it: a service, a container."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Literal

from tracer.machine import commands, running
from tracer.observers.sockets import SocketObserver
from tracer.runs.subjects.processes import OfProcesses


class OfCgroup(OfProcesses):
    """It may be empty, and fill later.

    Args:
        cgroup: Its directory.
        name: What the user calls it; None where that is what the first process is called.
    """

    kind: ClassVar[Literal["processes", "cgroup"]] = "cgroup"

    def __init__(
        self, cgroup: Path, name: str | None, observer: SocketObserver, note: Callable[[str], None], *,
        children: bool = True, most_s: float | None = None,
    ) -> None:  # fmt: skip
        super().__init__([], observer, note, children=children, most_s=most_s)
        self._directory, self._given = cgroup, name

    def is_over(self) -> bool:
        """Whether nobody is in it any more, nor of those who were."""
        return super().is_over() and not running.is_populated(self._directory)

    @property
    def _cgroup(self) -> Path | None:
        return self._directory

    def _processes(self) -> list[int]:
        return [pid for pid in commands.processes_in(self._directory) if pid != os.getpid()]

    def _name_of(self, pids: list[int]) -> str:
        return self._given or (running.name_of(pids[0]) if pids else str(self._directory))
