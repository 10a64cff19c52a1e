"""The sampler of a cgroup: what the CPUs do in the context of its processes, while they are watched.

Names of functions in user mode are not looked up: the processes have ended by then.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections import Counter as Counting
from pathlib import Path
from typing import Any

from tracer.books.stages import plain_name
from tracer.machine.cgroups import level_of
from tracer.machine.kernel.bpf_trial import open_cpu_clock
from tracer.observers import loading
from tracer.observers.cpu_events import CpuEvents
from tracer.observers.image_cache import cached_image
from tracer.observers.loading import Kind
from tracer.observers.maps import Maps
from tracer.observers.source_text import whole_text

# 1 kHz, and no divisor of a second: nothing else on the machine keeps step with it.
PERIOD_NS = 999_983


class CgroupSampler:
    """Samples from attach() to detach()."""

    def __init__(self) -> None:
        self._undo = contextlib.ExitStack()
        self._events = CpuEvents(lambda cpu: open_cpu_clock(cpu, PERIOD_NS))

    def attach(self, cgroup: Path) -> None:
        """Start to sample.

        Raises:
            Refusal, OSError: the kernel does not let this user sample.
            MachineError: BCC is missing, or cannot compile.
        """
        image = cached_image(whole_text("cgroup_sampler.bpf.c"), ("-g0",), "cgroup_sampler.bpf.c")
        self._maps = Maps(image.maps)
        self._undo.callback(self._maps.close)
        self._maps.set("subject", 0, struct.pack("<QII", cgroup.stat().st_ino, level_of(cgroup), 0))
        program = loading.load(image.code("on_sample", self._maps.descriptors), "on_sample", Kind.PERF_EVENT)
        self._undo.callback(os.close, program)
        self._events.open(program)

    def detach(self) -> None:
        """Stop to sample; what was sampled stays readable."""
        self._events.close()

    def folded(self) -> tuple[dict[str, int], int]:
        """Stacks, as "command;kernel;outermost;...;innermost", to their samples; and samples that were not kept."""
        found: Counting[str] = Counting()
        for key, value in self._maps.items("samples"):
            addresses = [address for address in struct.unpack(f"<{len(key) // 8}Q", key) if address]
            frames = [plain_name(_name(address)) for address in reversed(addresses)]
            found[";".join(["command", "kernel" if frames else "user", *frames])] += int.from_bytes(value, "little")
        return dict(found.most_common()), int.from_bytes(self._maps.element("lost", 0)[0], "little")

    def close(self) -> None:
        """Detach and free everything."""
        self.detach()
        self._undo.close()


def _name(address: int) -> str:
    import bcc

    bpf: Any = bcc.BPF
    return str(bpf.ksym(address).decode())
