"""What the lab keeps: its snapshots and its kernels, in any width."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich.console import Console

from tracer.reports.tables import make_table


def print_snapshots(snapshots: Iterable[Mapping[str, object]], console: Console) -> None:
    """One row each, with its size."""
    table = make_table(console, "snapshot", "size", right=("size",))
    for one in snapshots:
        table.add_row(str(one["name"]), _megabytes(one["bytes"]))
    if table.row_count:
        console.print(table)


def print_kernels(kernels: Iterable[Mapping[str, object]], console: Console) -> None:
    """One row each; n/a is what was not fetched, or never asked."""
    table = make_table(console, "kernel", "Debian", "size", "release", right=("size",))
    for one in kernels:
        name = f"{one['name']}{' (default)' if one['default'] else ''}"
        table.add_row(name, str(one["suite"] or "n/a"), _megabytes(one["bytes"]), str(one["release"] or "not fetched"))
    console.print(table)


def _megabytes(size: object) -> str:
    return f"{size / 1e6:.0f} MB" if isinstance(size, int) else "n/a"
