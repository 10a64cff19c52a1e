"""Packets of the workload that this machine dropped, by the kernel's own reason: what on_drop of bpf/nettrace.h saw."""

from __future__ import annotations

import functools

from tracer.books.drops import drop_name
from tracer.machine.kernel.btf import Btf
from tracer.model import Tally
from tracer.observers.program import Program


def read_drops(program: Program) -> dict[str, Tally]:
    """A tally for each reason and side; none where nothing was dropped."""
    rows = program.read_drops("drops")
    if not rows:
        return {}
    names = _reasons()
    return {
        drop_name(names.get(reason, str(reason)), received=bool(received)): Tally(events=events, bytes=size)
        for reason, received, events, size in rows
    }


@functools.cache
def _reasons() -> dict[int, str]:
    """The numbers differ among kernels, the names hardly: enum skb_drop_reason (include/net/dropreason-core.h)."""
    return {
        value: name.removeprefix("SKB_DROP_REASON_").removeprefix("SKB_")
        for value, name in Btf.of_running_kernel().enumerators("skb_drop_reason").items()
    }
