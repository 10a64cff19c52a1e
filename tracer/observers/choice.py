"""Which observers watch a run: what the user asked for, as far as this kernel allows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from tracer.errors import MachineError
from tracer.model import Observation, ObserverChoice
from tracer.observers.flow import Flow


class Observer(Protocol):
    """Counts between attach() and detach(); close() frees it and may be called at any time."""

    name: str

    def attach(self) -> None:
        """Start to count."""

    def detach(self) -> Observation:
        """Stop to count; what was counted."""

    def close(self) -> None:
        """Free everything."""


def start_observers(choice: ObserverChoice, flow: Callable[[], Flow]) -> list[Observer]:
    """Compile the observers asked for; nothing is attached yet.

    Args:
        flow: Called once BCC has been imported, so that the workload can start meanwhile.

    Raises:
        MachineError: this kernel does not allow what was asked for.
    """
    if choice in (ObserverChoice.FUNCTIONS, ObserverChoice.ALL):
        raise MachineError(
            f"--observer {choice} cannot run on this kernel",
            "it refuses function probes",
            "--observer tracepoints, or the lab: --lab",
        )
    from tracer.observers.tracepoints import TracepointObserver

    return [TracepointObserver(flow())]
