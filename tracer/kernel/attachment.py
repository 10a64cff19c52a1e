"""How each probe point can be attached on this kernel, or why not; asked before BCC sees a program.

BCC loads whatever a program text holds, and one function that cannot be attached takes all others down.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tracer.kernel.bpf_trial import ProgramType, can_break_at, can_kprobe, can_load
from tracer.kernel.btf import Btf
from tracer.probes import At, ProbePoint

# The trampoline of fentry takes six arguments on older kernels; a kprobe reads registers and does not care.
_FENTRY_PARAMETERS = 6

_TRACEFS = Path("/sys/kernel/tracing")


@dataclass(frozen=True)
class Attachment:
    """The way of one probe point: "fentry", "kprobe", "tracepoint", "breakpoint", or None and the reason.

    Args:
        parameters: Of the function, which an fentry program may not read beyond.
        address: Of the function, for a breakpoint.
    """

    point: ProbePoint
    way: str | None
    reason: str = ""
    parameters: int = 0
    address: int = 0


class KernelText:
    """What this kernel says about its functions: symbols, types, and what ftrace and kprobes allow."""

    def __init__(self, *, allow_fentry: bool = True) -> None:
        self.btf = Btf.of_running_kernel()
        self._symbols = _read(Path("/proc/kallsyms"))
        self._traceable = _read(_TRACEFS / "available_filter_functions")
        self._fentry_refusal = can_load(ProgramType.TRACING) if allow_fentry else "not wanted"
        self._kprobe_refusal = can_kprobe()

    def address(self, function: str) -> int | None:
        """Address of a function; None if there is no such symbol, 0 if this user may not see it."""
        for kind in (b"t", b"T", b"w", b"W"):
            at = self._symbols.find(b" %s %s\n" % (kind, function.encode()))
            if at >= 16:
                return int(self._symbols[at - 16 : at], 16)
        return None

    def attachment(self, point: ProbePoint) -> Attachment:
        """The best way to attach a probe point here."""
        if point.at is At.TRACEPOINT:
            known = self.btf.tracepoint_parameters(point.symbol) is not None
            return Attachment(point, "tracepoint") if known else Attachment(point, None, "no such tracepoint")
        address = self.address(point.symbol)
        if address is None:
            return Attachment(point, None, "no such function: inlined, or of another kernel")
        if point.at is At.BREAKPOINT:
            refusal = can_break_at(address) if address else "its address is hidden (kptr_restrict)"
            return Attachment(point, None if refusal else "breakpoint", refusal or "", address=address)
        return self._function_attachment(point)

    def _function_attachment(self, point: ProbePoint) -> Attachment:
        parameters = self.btf.function_parameters(point.symbol)
        if self._traceable and b"\n%s\n" % point.symbol.encode() not in self._traceable:
            return Attachment(point, None, "notrace: ftrace does not reach it")
        if not self._fentry_refusal and parameters is not None and len(parameters) <= _FENTRY_PARAMETERS:
            return Attachment(point, "fentry", parameters=len(parameters))
        if self._kprobe_refusal is None:
            return Attachment(point, "kprobe")
        return Attachment(point, None, f"fentry: {self._fentry_refusal}; kprobe: {self._kprobe_refusal}")


def _read(path: Path) -> bytes:
    """A kernel file as it stands, with a newline before its first line; empty where it cannot be read."""
    try:
        return b"\n" + path.read_bytes()
    except OSError:
        return b""
