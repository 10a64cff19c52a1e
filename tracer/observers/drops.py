"""Packets of the workload that this machine dropped, by the kernel's own reason: what on_drop of bpf/ saw."""

from __future__ import annotations

import functools
from collections.abc import Iterable

from tracer.books.drops import Place, drop_name
from tracer.machine.kernel.btf import Btf
from tracer.model import Tally

DEFINES: dict[str, int | str] = {"NT_PLACES": ",".join(Place.__members__)}
"""What on_drop is compiled with."""


def tallies_of_drops(found: Iterable[tuple[int, int, int, int]]) -> dict[str, Tally]:
    """A tally for each reason and place; none where nothing was dropped.

    Args:
        found: Reason, index of the place, events, bytes.
    """
    rows = list(found)
    if not rows:
        return {}
    names, places = _reasons(), list(Place)
    return {
        drop_name(names.get(reason, str(reason)), places[place]): Tally(events=events, bytes=size)
        for reason, place, events, size in rows
    }


@functools.cache
def _reasons() -> dict[int, str]:
    """The numbers differ among kernels, the names hardly: enum skb_drop_reason (include/net/dropreason-core.h)."""
    return {
        value: name.removeprefix("SKB_DROP_REASON_").removeprefix("SKB_")
        for value, name in Btf.of_running_kernel().enumerators("skb_drop_reason").items()
    }
