"""Kprobes as trace events: with room for all the calls that a machine can be in at once, and a count of those missed.

A return probe holds one instance for each call that has not returned yet; by default the kernel keeps ten, or twice as
many as there are CPUs. A receive call sleeps in its one until data comes: of 64 connections most returns went unseen.
And a probe that is hit while its CPU handles another one, as in a softirq on top of it, is passed over.
perf_event_open(2) can neither ask for more instances nor tell what was missed; trace events can
(Documentation/trace/kprobetrace.rst: MAXACTIVE, kprobe_profile).
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path

from tracer.machine.leftovers import owned_name

_PROFILE = Path("/sys/kernel/tracing/kprobe_profile")
# KRETPROBE_MAXACTIVE_MAX of kernel/trace/trace_kprobe.c; 64 bytes each.
MAX_ACTIVE = 4096
_NUMBERS = itertools.count()


class Kprobe:
    """A program that runs whenever a function is entered, or returns, until detach().

    Args:
        program: Descriptor of a program of type KPROBE.

    Raises:
        OSError: the kernel refuses.
    """

    def __init__(self, program: int, symbol: str, *, returns: bool) -> None:
        from bcc.libbcc import lib

        self._lib = lib
        self._name = owned_name(f"k{next(_NUMBERS)}").replace("-", "_")
        self._event = f"{self._name}_bcc_{os.getpid()}"  # as libbcc calls it
        # Where there is no tracefs, an event of perf is better than none: it misses calls, and does not say how many.
        for instances in (MAX_ACTIVE, 0):
            descriptor = lib.bpf_attach_kprobe(program, returns, self._name.encode(), symbol.encode(), 0, instances)
            if descriptor >= 0:
                self._descriptor = descriptor
                return
        raise OSError(f"libbcc cannot attach a kprobe to {symbol}")

    def missed(self) -> int | None:
        """Calls or returns that it was passed over since it was attached; None where the kernel does not tell."""
        try:
            return read_misses(_PROFILE.read_text(), self._event)
        except OSError:
            return None

    def detach(self) -> None:
        """Take it off, and its trace event away; safe to call twice."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            self._lib.bpf_close_perf_event_fd(descriptor)
            self._lib.bpf_detach_kprobe(self._name.encode())


def read_misses(profile: str, event: str) -> int | None:
    """The third column of kprobe_profile, a line an event: name, hits, misses; None where the event has no line."""
    rows = (line.split() for line in profile.splitlines())
    return next((int(row[2]) for row in rows if len(row) == 3 and row[0] == event), None)
