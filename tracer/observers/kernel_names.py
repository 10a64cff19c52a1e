"""Names of the kernel's functions, by BCC, which reads /proc/kallsyms for them."""

from __future__ import annotations

from collections.abc import Sequence

from tracer.machine.kernel.symbols import why_no_names
from tracer.observers.prepared import Prepared


def names_of(addresses: Sequence[int], prepared: Prepared) -> list[str]:
    """The functions at these addresses; "[unknown]" where this kernel shows no names."""
    # BCC reads all of /proc/kallsyms anew for each address that it does not find: minutes, where none is shown.
    if why_no_names() is not None:
        return ["[unknown]"] * len(addresses)
    import bcc

    if prepared.named is not None and not all(address in prepared.named for address in addresses):
        bcc.BPF._sym_caches.pop(-1, None)  # BCC would give it the name of whatever lay below
        prepared.named = None
    return [bcc.BPF.ksym(address).decode() for address in addresses]
