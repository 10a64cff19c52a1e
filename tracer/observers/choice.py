"""Which observers watch a run: what the user asked for, as far as this kernel allows it."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import Protocol

from tracer.errors import MachineError
from tracer.machine.kernel.bpf_trial import ProgramType, can_kprobe, can_load
from tracer.machine.kernel.installation import require_bcc
from tracer.machine.limits import require_descriptors
from tracer.machine.privilege import refusal
from tracer.model import Observation, ObserverChoice
from tracer.observers.flow import Flow
from tracer.observers.prepared import Prepared
from tracer.observers.watched import Watched


class Observer(Protocol):
    """Counts between attach() and detach(); close() frees it and may be called at any time.

    Attributes:
        watched: The sockets, once it is detached; None of one that knows no sockets.
    """

    name: str
    watched: Watched | None

    def attach(self) -> None:
        """Start to count."""

    def detach(self) -> Observation:
        """Stop to count; what was counted."""

    def close(self) -> None:
        """Free everything."""


def start_observers(
    choice: ObserverChoice, flow: Callable[[], Flow], *, stacks: bool, prepared: Prepared | None = None
) -> list[Observer]:
    """Compile the observers asked for; nothing is attached yet.

    Args:
        flow: Called when BCC has been found, so that the workload can start meanwhile.
        stacks: Kernel stacks are wanted; tracepoints have none.

    Raises:
        MachineError: this kernel does not allow what was asked for.
    """
    names = require_observers(choice, stacks=stacks)
    with contextlib.ExitStack() as stack:
        started = []
        for name in names:
            started.append(_start(name, choice, flow(), stacks, prepared))
            stack.callback(started[-1].close)
        stack.pop_all()
        return started


def require_observers(choice: ObserverChoice, *, stacks: bool) -> list[str]:
    """Names of the observers asked for, where all that they stand on is there.

    Raises:
        MachineError: this kernel does not allow what was asked for, or BCC is missing.
    """
    require_bcc()
    names = chosen_observers(choice, refusal=why_no_functions())
    if stacks and "functions" not in names:
        raise MachineError(
            "stacks need function probes",
            f"this kernel refuses them: {why_no_functions()}",
            "run it in the lab: --lab; or leave out --stacks",
        )
    return names


def require_permission() -> None:
    """Asked before anything is made, and before BCC, which would complain on stderr in its own words.

    Raises:
        PrivilegeError: this user may load no BPF program.
        MachineError: a process of so few descriptors can watch nothing.
    """
    require_descriptors()
    reason = can_load(ProgramType.RAW_TRACEPOINT)
    if reason is not None and reason.startswith("EPERM"):
        raise refusal(
            "this user may not watch the kernel", f"loading a program gave {reason}", "CAP_BPF", "CAP_PERFMON"
        )


def chosen_observers(choice: ObserverChoice, refusal: str | None) -> list[str]:
    """Names of the observers to start; the first one's entries make the ledger.

    Args:
        refusal: Why function probes cannot run here; None if they can.

    Raises:
        MachineError: functions were asked for by name and cannot run.
    """
    if choice is ObserverChoice.TRACEPOINTS or (choice is ObserverChoice.AUTO and refusal):
        return ["tracepoints"]
    if refusal:
        raise MachineError(
            f"--observer {choice} cannot run on this kernel",
            f"it refuses function probes: {refusal}",
            "--observer tracepoints, or the lab: --lab",
        )
    return ["functions", "tracepoints"] if choice is ObserverChoice.ALL else ["functions"]


@functools.cache
def why_no_functions() -> str | None:
    """None if functions can be probed here; else the reason."""
    fentry = can_load(ProgramType.TRACING)
    if fentry is None:
        return None
    kprobe = can_kprobe()
    return None if kprobe is None else f"fentry {fentry}; kprobes: {kprobe}"


def _start(name: str, choice: ObserverChoice, flow: Flow, stacks: bool, prepared: Prepared | None) -> Observer:
    if name == "functions":
        from tracer.observers.functions import FunctionObserver

        return FunctionObserver(flow, stacks=stacks, prepared=prepared)
    from tracer.observers.tracepoints import TracepointObserver

    return TracepointObserver(flow, prepared, calls=choice is ObserverChoice.ALL)
