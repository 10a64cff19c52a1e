"""Hardware execution breakpoints: the only probe that reaches functions built notrace.

At most four at a time (debug registers of x86). perf_event_open(2), PERF_TYPE_BREAKPOINT with HW_BREAKPOINT_X.
"""

from __future__ import annotations

import os

from tracer.errors import MachineError
from tracer.machine.kernel.bpf_trial import open_breakpoint, run_at
from tracer.observers.program import Program


class Breakpoints:
    """Breakpoints on all CPUs, each running a function of a program."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._events: list[int] = []

    def attach(self, address: int, function: str) -> None:
        """Run a function of the program whenever a CPU executes this address.

        Raises:
            MachineError: the kernel refuses.
        """
        descriptor = self._program.load_perf_event(function)
        for cpu in os.sched_getaffinity(0):
            try:
                event = open_breakpoint(address, cpu)
            except OSError as error:
                raise MachineError(
                    f"cannot watch {address:#x} by a breakpoint", str(error.strerror), "see: nettrace doctor"
                ) from error
            self._events.append(event)
            run_at(event, descriptor)

    def detach(self) -> None:
        """Take all of them off."""
        while self._events:
            os.close(self._events.pop())
