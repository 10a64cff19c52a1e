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

import contextlib
import errno
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tracer.books.samples import CONTEXTS, Sample, fold
from tracer.books.stages import stage_costs
from tracer.errors import MachineError, PrivilegeError
from tracer.machine import privilege
from tracer.machine.kernel.bpf_trial import can_count_cycles, open_cpu_clock, open_cycles
from tracer.machine.user_symbols import UserSymbols
from tracer.model import CpuProfile, Workload
from tracer.observers import loading
from tracer.observers.cpu_events import CpuEvents
from tracer.observers.image_cache import cached_image
from tracer.observers.kernel_names import names_of
from tracer.observers.loading import Kind, Refusal
from tracer.observers.maps import Maps
from tracer.observers.prepared import Prepared
from tracer.observers.source_text import whole_text

# 2 kHz, and no divisor of a second: nothing else on the machine keeps step with it.
PERIOD_NS = 499_979

_FLAGS = ("-g0", f"-DNT_CONTEXTS={','.join(CONTEXTS).upper()}")
_SUBJECT = struct.Struct("<QQII")  # bpf/sampler.bpf.c, struct subject
_STACK = struct.Struct("<II62Q")  # struct sample: context, whether it is user mode, addresses


class Processes(NamedTuple):
    """Whose samples are kept; 0 for a receiver on another machine."""

    sender: int
    receiver: int


class Sampler:
    """Ready at once, samples between attach() and detach().

    Args:
        tsc_hz: Rate of the time-stamp counter, which tells how many cycles are a period; None samples by the clock.
        prepared: Which functions' names have been read already: modules may have come since.

    Raises:
        MachineError: BCC is missing, cannot compile it, or the kernel makes no maps for it.
    """

    def __init__(self, processes: Processes, tsc_hz: float | None = None, prepared: Prepared | None = None) -> None:
        self._processes, self._prepared = processes, prepared or Prepared()
        cycles = round(PERIOD_NS * tsc_hz / 1e9) if tsc_hz is not None and can_count_cycles() is None else None
        self.event = "cpu-clock" if cycles is None else "cycles"
        self._events = CpuEvents(
            lambda cpu: open_cpu_clock(cpu, PERIOD_NS) if cycles is None else open_cycles(cpu, cycles)
        )
        self._undo = contextlib.ExitStack()
        self._image = cached_image(whole_text("sampler.bpf.c"), _FLAGS, "sampler.bpf.c")
        with _told():
            self._maps = Maps(self._image.maps)
            self._undo.callback(self._maps.close)
            namespace = Path("/proc/self/ns/pid").stat()
            self._maps.set("subject", 0, _SUBJECT.pack(namespace.st_dev, namespace.st_ino, *processes))

    def attach(self) -> None:
        """Start to sample.

        Raises:
            PrivilegeError: the kernel refuses this user.
            MachineError: it refuses BPF programs on perf events.
        """
        with _told():
            code = self._image.code("on_sample", self._maps.descriptors)
            program = loading.load(code, "on_sample", Kind.PERF_EVENT)
            self._undo.callback(os.close, program)
            self._events.open(program)

    def detach(self) -> None:
        """Stop to sample."""
        self._events.close()

    def profile(self, workload: Workload) -> CpuProfile:
        """What was sampled during a pass; the processes must still be there, for the names of their functions."""
        folded = fold(self._samples())
        return CpuProfile(
            event=self.event,
            period_ns=PERIOD_NS,
            samples=sum(folded.values()),
            stages=stage_costs(folded, PERIOD_NS, workload.payload_bytes),
            payload_bytes=workload.payload_bytes,
            elapsed_s=workload.elapsed_s,
            elsewhere=sum(count for stack, count in folded.items() if stack.startswith("softirq;")),
            folded=folded,
            lost=sum(int.from_bytes(count, "little") for count in self._maps.element("lost", 0)),
        )

    def _samples(self) -> Iterator[Sample]:
        symbols = [UserSymbols(process) if process else None for process in (*self._processes, 0)]
        for key, times in self._maps.items("samples"):
            context, user, *frames = _STACK.unpack(key)
            addresses = [address for address in frames if address]
            names = _user_frames(addresses, symbols[context]) if user else names_of(addresses, self._prepared)
            yield Sample(context, bool(user), names, int.from_bytes(times, "little"))

    def close(self) -> None:
        """Free everything; safe to call twice."""
        self.detach()
        self._undo.close()


def _user_frames(addresses: list[int], symbols: UserSymbols | None) -> list[str]:
    """The running function, and the next one if that word of the stack is an address of a function at all."""
    names = [symbols.name(address) if symbols else None for address in addresses]
    return [names[0] or "[unknown]" if names else "[unknown]", *(name for name in names[1:] if name)]


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """What the kernel refuses, as an error that a user should read."""
    try:
        yield
    except (Refusal, OSError) as error:
        number, reason = (error.number, error.reason) if isinstance(error, Refusal) else (error.errno, str(error))
        raise _error_of(number, reason) from error


def _error_of(number: int | None, reason: str) -> MachineError | PrivilegeError:
    what = "cannot sample the CPUs"
    if number in (errno.EPERM, errno.EACCES):
        return privilege.refusal(what, reason, "CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN")
    return MachineError(what, reason, "see: nettrace doctor; or run in the lab: --lab")
