"""Where a recording was made, as a table."""

from __future__ import annotations

from tracer.model import Document, Host, Nic
from tracer.model.socket_recording import SocketRecording
from tracer.reports.html.grid import Cell, Grid, Row
from tracer.units import format_count

Facts = list[tuple[str, str]]


def host_grid(document: Document) -> Grid:
    """The machine, its device, who ran it, and which probe points were there."""
    facts = [*_of_host(document.host), *_of_nic(document.host.nic), ("ran as", document.user or "n/a")]
    for observation in document.observations:
        how = ", ".join(dict.fromkeys(observation.attached.values())) or "n/a"
        facts.append((f"observer {observation.observer}", f"{len(observation.attached)} symbols, by {how}"))
        facts += [(f"not attached: {point}", why) for point, why in observation.unattached.items()]
    return _grid([*facts, ("nettrace", document.version)])


def _of_host(host: Host) -> Facts:
    memlock = "unlimited" if host.memlock is None else f"{format_count(host.memlock)} B"
    return [
        ("kernel", f"Linux {host.kernel} ({host.where})"),
        ("CPU", f"{host.cpu}, {host.cores} cores{', emulated' if host.emulated else ''}"),
        ("congestion control", host.congestion_control or "n/a"),
        ("net.core.optmem_max", "n/a" if host.optmem_max is None else f"{format_count(host.optmem_max)} B"),
        ("RLIMIT_MEMLOCK", memlock),
        ("packet taps", _listed(host.packet_taps)),
        ("queues that drop", _listed(host.dropping_qdiscs)),
    ]


def _listed(found: list[str] | None) -> str:
    return "n/a" if found is None else ", ".join(found) or "none"


def _of_nic(nic: Nic | None) -> Facts:
    if nic is None:
        return [("device", "n/a")]
    features = {"scatter-gather": nic.scatter_gather, "tx checksum": nic.tx_checksum, "TSO": nic.tso, "GSO": nic.gso}
    told = ", ".join(f"{name} {_switch(value)}" for name, value in features.items())
    kind = f"{nic.kind or 'kind n/a'}, driver {nic.driver or 'n/a'}, MTU {format_count(nic.mtu)}"
    return [("device", f"{nic.device} ({kind})"), ("offloads", told)]


def _switch(value: bool | None) -> str:
    return "n/a" if value is None else "on" if value else "off"


def hooks_grid(recording: SocketRecording) -> Grid:
    """The kernel, and how it was asked."""
    hooks = recording.hooks
    facts = [
        ("kernel", f"Linux {recording.kernel}"),
        ("began", recording.window.started),
        ("calls are seen by", hooks.calls),
        ("probe points", ", ".join(hooks.attached) or "n/a"),
        *((f"not attached: {name}", why) for name, why in hooks.refused.items()),
        ("memory of a socket's row", f"{format_count(hooks.row_bytes)} B"),
        ("rows lost", format_count(recording.lost)),
    ]
    return _grid(facts)


def _grid(facts: Facts) -> Grid:
    return Grid("Facts", ["fact", "value"], [False, False], [Row([Cell(name), Cell(value)]) for name, value in facts])
