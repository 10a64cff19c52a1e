"""What both observers' programs count of packets that this machine drops: on_drop() of bpf/nettrace.h."""

from __future__ import annotations

from tracer.books.drops import TRACEPOINT, Place, drop_tally
from tracer.machine.kernel.btf import Btf
from tracer.model import Tally
from tracer.observers.program import Program

HANDLER, TABLE = "on_drop", "drops"

PLACES = ",".join(place.name for place in Place)
"""What NT_PLACES stands for in the program."""

_PREFIX = "SKB_DROP_REASON_"


def attach_drops(program: Program) -> None:
    """Start to count.

    Raises:
        PrivilegeError: the kernel refuses this user.
        MachineError: this kernel has no such tracepoint.
    """
    program.attach_raw_tracepoint(TRACEPOINT, HANDLER)


def read_drops(program: Program) -> dict[str, Tally]:
    """Tallies by place and reason; only those where something was dropped."""
    places = list(Place)
    dropped = program.bpf[TABLE].items()
    reasons = Btf.of_running_kernel().enumerators("skb_drop_reason") if dropped else {}
    return {
        drop_tally(places[key.place], _reason(reasons, key.reason)): Tally(events=tally.events, bytes=tally.bytes)
        for key, tally in dropped
    }


def _reason(names: dict[int, str], number: int) -> str:
    return names.get(number, f"reason {number}").removeprefix(_PREFIX)
