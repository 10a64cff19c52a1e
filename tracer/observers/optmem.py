"""What watching takes of a socket's optmem, the budget of its zero-copy notifications (net/core/bpf_sk_storage.c)."""

from __future__ import annotations

from tracer.books.socket_rows import ROW_BYTES
from tracer.machine.kernel.btf import Btf

_MARK_BYTES = 8


def charged_bytes(btf: Btf, *, rows: bool) -> int | None:
    """For one socket: its list of storages, and in it a mark and, with rows, a row; None where BTF does not tell."""
    storages = btf.struct_size("bpf_local_storage")
    before_data = btf.member("bpf_local_storage_elem", "sdata.data")
    if storages is None or before_data is None:
        return None
    row = before_data.offset + ROW_BYTES if rows else 0
    return storages + row + before_data.offset + _MARK_BYTES
