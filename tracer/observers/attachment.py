"""How each probe point can be attached on this kernel, or why not; asked before BCC sees a program.

BCC loads whatever a program text holds, and one function that cannot be attached takes all others down.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tracer.books.facts import PlannedProbe, State
from tracer.books.probes import At, ProbePoint
from tracer.machine.kernel.bpf_trial import ProgramType, can_break_at, can_kprobe, can_load
from tracer.machine.kernel.btf import Btf

# The trampoline of fentry takes six arguments on older kernels; a kprobe reads registers and does not care.
_FENTRY_PARAMETERS = 6

_TRACEFS = Path("/sys/kernel/tracing")


class Types(Protocol):
    """What is asked of the kernel's BTF."""

    def function_parameters(self, name: str) -> list[str] | None:
        """Parameter names of a function; None if there is none."""

    def tracepoint_parameters(self, name: str) -> list[str] | None:
        """Parameter names of a tracepoint; None if there is none."""


@dataclass(frozen=True)
class Attachment:
    """The way of one probe point: "fentry", "kprobe", "tracepoint", "breakpoint", or None and the reason.

    Args:
        parameters: Of the function, which an fentry program may not read beyond.
        address: Of the function, for a breakpoint.
        known: False where this user may not look.
    """

    point: ProbePoint
    way: str | None
    reason: str = ""
    parameters: int = 0
    address: int = 0
    known: bool = True

    def described(self) -> PlannedProbe:
        """For the user."""
        state = State.UNKNOWN if not self.known else State.OK if self.way else State.MISSING
        fields = {name: getattr(self.point, name) for name in ("symbol", "at", "stage", "counts", "source", "why")}
        return PlannedProbe(**fields, way=self.way, reason=self.reason, state=state)


@dataclass(frozen=True)
class KernelText:
    """What this kernel says about its functions.

    Args:
        symbols: /proc/kallsyms, behind a newline; addresses are 0 for a user who may not see them.
        traceable: What ftrace reaches (available_filter_functions), behind a newline; empty where it cannot be read.
        fentry_refusal: Why fentry programs cannot run; None if they can.
        kprobe_refusal: The same of kprobes.
        break_refusal: Asks for an address why no breakpoint can be there.
        is_root: Without it, EPERM means that nobody knows.
    """

    types: Types
    symbols: bytes
    traceable: bytes
    fentry_refusal: str | None
    kprobe_refusal: str | None
    break_refusal: Callable[[int], str | None]
    is_root: bool = True

    @classmethod
    @functools.cache
    def of_running_kernel(cls, *, allow_fentry: bool = True) -> KernelText:
        """The kernel that runs this process.

        Raises:
            MachineError: it has no BTF.
        """
        return cls(
            types=Btf.of_running_kernel(),
            symbols=_read(Path("/proc/kallsyms")),
            traceable=_read(_TRACEFS / "available_filter_functions"),
            fentry_refusal=can_load(ProgramType.TRACING) if allow_fentry else "not wanted",
            kprobe_refusal=can_kprobe(),
            break_refusal=can_break_at,
            is_root=os.geteuid() == 0,
        )

    def plan(self, points: Iterable[ProbePoint]) -> list[Attachment]:
        """The best way to attach each probe point here."""
        return [self.attachment(point) for point in points]

    def address(self, function: str) -> int | None:
        """Address of a function; None if there is no such symbol, 0 if this user may not see it."""
        for kind in (b"t", b"T", b"w", b"W"):
            at = self.symbols.find(b" %s %s\n" % (kind, function.encode()))
            if at >= 16:
                return int(self.symbols[at - 16 : at], 16)
        return None

    def attachment(self, point: ProbePoint) -> Attachment:
        """The best way to attach a probe point here."""
        if point.at is At.TRACEPOINT:
            known = self.types.tracepoint_parameters(point.symbol) is not None
            return Attachment(point, "tracepoint") if known else Attachment(point, None, "no such tracepoint")
        address = self.address(point.symbol)
        if address is None:
            return Attachment(point, None, "no such function: inlined, or of another kernel")
        if point.at is At.BREAKPOINT:
            return self._breakpoint(point, address)
        return self._function_attachment(point)

    def _breakpoint(self, point: ProbePoint, address: int) -> Attachment:
        if not address:
            reason = "its address is hidden (kptr_restrict)"
            return Attachment(point, None, reason if self.is_root else _HIDDEN, known=self.is_root)
        refusal = self.break_refusal(address)
        return self._refused(point, refusal) if refusal else Attachment(point, "breakpoint", address=address)

    def _function_attachment(self, point: ProbePoint) -> Attachment:
        parameters = self.types.function_parameters(point.symbol)
        if self.traceable and b"\n%s\n" % point.symbol.encode() not in self.traceable:
            return Attachment(point, None, "notrace: ftrace does not reach it")
        if not self.fentry_refusal and parameters is not None and len(parameters) <= _FENTRY_PARAMETERS:
            return Attachment(point, "fentry", parameters=len(parameters))
        if self.kprobe_refusal is None:
            return Attachment(point, "kprobe")
        return self._refused(point, f"fentry: {self.fentry_refusal}; kprobe: {self.kprobe_refusal}")

    def _refused(self, point: ProbePoint, refusal: str) -> Attachment:
        if "EPERM" in refusal and not self.is_root:
            return Attachment(point, None, _HIDDEN, known=False)
        return Attachment(point, None, refusal)


_HIDDEN = "unknown: this user may not look"


def _read(path: Path) -> bytes:
    """A kernel file as it stands, with a newline before its first line; empty where it cannot be read."""
    try:
        return b"\n" + path.read_bytes()
    except OSError:
        return b""
