"""The sampler: what the CPUs do for the workload, as stacks, in a pass of its own.

A timer (or the cycle counter, where there is a PMU) interrupts every CPU at a fixed distance and a BPF program counts
the stack it finds. Nothing else is attached in that pass: probes that run at every packet would be a tenth of what is
sampled.

What is counted: all that runs in the sender's and in the receiver's process, user and kernel mode, including softirqs
that happen to run there (on loopback and veth that is nearly all of TCP's receive side); and in any other process's
context, softirqs that an interrupt (or ksoftirqd) started and that are inside of TCP. The latter are whoever's: on a
machine that receives other TCP traffic they may be another's, and therefore they are also given as a number of their
own. Not counted: softirqs that another process started by sending (over loopback, that is its own traffic), softirq
work before TCP (a driver's poll loop) in another's context, kernel threads outside of TCP, and idle time.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from tracer.books.samples import CONTEXTS, fold
from tracer.books.stages import stage_costs
from tracer.machine.kernel.bpf_trial import can_count_cycles
from tracer.model import CpuProfile, Workload
from tracer.observers.prepared import Prepared
from tracer.observers.program import Program

# 2 kHz, and no divisor of a second: nothing else on the machine keeps step with it.
PERIOD_NS = 499_979

# linux/perf_event.h: (type, config)
_CPU_CLOCK, _CYCLES = (1, 0), (0, 0)


class Processes(NamedTuple):
    """Whose samples are kept; 0 for a receiver on another machine."""

    sender: int
    receiver: int


class Sampler:
    """Compiles at once, samples between attach() and detach().

    Args:
        tsc_hz: Rate of the time-stamp counter, which tells how many cycles are a period; None samples by the clock.
        prepared: Which functions' names have been read already: modules may have come since.
    """

    def __init__(self, processes: Processes, tsc_hz: float | None = None, prepared: Prepared | None = None) -> None:
        self._processes = processes
        by_cycles = tsc_hz is not None and can_count_cycles() is None
        self.event = "cycles" if by_cycles else "cpu-clock"
        self._kind = _CYCLES if by_cycles else _CPU_CLOCK
        self._period = round(PERIOD_NS * tsc_hz / 1e9) if by_cycles and tsc_hz else PERIOD_NS
        namespace = Path("/proc/self/ns/pid").stat()
        defines: dict[str, int | str] = {
            "NT_CONTEXTS": ",".join(CONTEXTS).upper(),
            "NT_SENDER": processes.sender,
            "NT_RECEIVER": processes.receiver,
            "NT_PIDNS_DEVICE": namespace.st_dev,
            "NT_PIDNS_INODE": namespace.st_ino,
        }
        self._program = Program("sampler.bpf.c", defines, prepared=prepared)

    def attach(self) -> None:
        """Start to sample.

        Raises:
            PrivilegeError: the kernel refuses this user.
            MachineError: it refuses BPF programs on perf events.
        """
        self._program.attach_sampler("on_sample", *self._kind, self._period)

    def detach(self) -> None:
        """Stop to sample."""
        self._program.detach()

    def profile(self, workload: Workload) -> CpuProfile:
        """What was sampled during a pass; the processes must still be there, for the names of their functions."""
        samples, lost = self._program.read_samples("samples", "lost", (*self._processes, 0))
        folded = fold(samples)
        return CpuProfile(
            event=self.event,
            period_ns=PERIOD_NS,
            samples=sum(folded.values()),
            stages=stage_costs(folded, PERIOD_NS, workload.payload_bytes),
            payload_bytes=workload.payload_bytes,
            elapsed_s=workload.elapsed_s,
            elsewhere=sum(count for stack, count in folded.items() if stack.startswith("softirq;")),
            folded=folded,
            lost=lost,
        )

    def close(self) -> None:
        """Free the program; safe to call twice."""
        self._program.close()
