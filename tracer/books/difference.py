"""Two recordings side by side: the same rows, and a difference only where the figures can be compared. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

import msgspec

from tracer.books.evidence import evidence_of
from tracer.model import CpuProfile, Document, Workload
from tracer.model.socket_recording import SocketRecording
from tracer.model.sockets import Completions, Transfer

# Work that differs by less is the same: a date in a header, a retry.
_SAME_WORK = 0.01


class Basis(StrEnum):
    """What a figure is of, which decides when two of them can be compared.

    PER_BYTE: of a byte, a call or a packet: always. TOTAL, TIME: of the whole work: where that is the same. WORK: it is
    the work itself, which is asked for and no result.
    """

    WORK = "work"
    PER_BYTE = "per byte"
    TOTAL = "total"
    TIME = "time"


class Unit(StrEnum):
    """How a figure is written."""

    COUNT = ""
    BYTES = "B"
    SHARE = "%"
    RATIO = "x"
    SECONDS = "s"
    NS_PER_BYTE = "ns/B"
    RATE = "B/s"


class Figure(NamedTuple):
    """A figure of one recording; the value is None where nobody observed it."""

    value: float | None
    basis: Basis
    unit: Unit = Unit.COUNT


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A figure of both.

    Args:
        ratio: b / a; None where they cannot be compared, or a is 0.
        why_not: Why no difference is named; empty where one is, or there is none.
    """

    name: str
    unit: str
    basis: str
    a: float | None
    b: float | None
    ratio: float | None
    why_not: str = ""

    @property
    def differs(self) -> bool:
        """Whether both are known, comparable and not the same."""
        return not self.why_not and self.a != self.b


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """What --json prints.

    Args:
        same_work: Both moved as many bytes in each direction, within 1 %.
        notes: What the reader must know before comparing.
    """

    schema: str = "nettrace.difference/1"
    a: str
    b: str
    same_work: bool
    rows: list[Row]
    notes: list[str]


def difference_of(a: Document | SocketRecording, b: Document | SocketRecording, names: tuple[str, str]) -> Difference:
    """The rows of two recordings, of either kind; a figure that one of them does not have is None there."""
    figures = [dict(_figures(one)) for one in (a, b)]
    same_work = _is_same_work(*figures)
    every = dict.fromkeys(name for one in figures for name in one)
    rows = [_row(name, figures[0].get(name), figures[1].get(name), same_work) for name in every]
    shown = [row for row in rows if row.a or row.b]
    notes = list(_notes(a, b, same_work, shown))
    return Difference(a=_title(a, names[0]), b=_title(b, names[1]), same_work=same_work, rows=shown, notes=notes)


def _is_same_work(a: dict[str, Figure], b: dict[str, Figure]) -> bool:
    return all(_is_near(a[name].value, b[name].value) for name in ("sent", "read"))


def _is_near(one: float | None, other: float | None) -> bool:
    return one is not None and other is not None and abs(one - other) <= _SAME_WORK * max(one, other)


def _row(name: str, a: Figure | None, b: Figure | None, same_work: bool) -> Row:
    one = a or b
    assert one is not None
    values = a.value if a else None, b.value if b else None
    why_not = _why_not(values, one.basis, same_work)
    ratio = values[1] / values[0] if not why_not and values[0] and values[1] is not None else None
    return Row(name=name, unit=one.unit, basis=one.basis, a=values[0], b=values[1], ratio=ratio, why_not=why_not)


def _why_not(values: tuple[float | None, float | None], basis: Basis, same_work: bool) -> str:
    if None in values:
        return f"{'A' if values[0] is None else 'B'} has none" if any(values) else "not observed"
    if basis is Basis.WORK:
        return "the work" if not same_work else ""
    if basis is not Basis.PER_BYTE and not same_work:
        return "other work"
    return ""


def _notes(
    a: Document | SocketRecording, b: Document | SocketRecording, same_work: bool, rows: list[Row]
) -> Iterator[str]:
    if not same_work:
        yield "they did not do the same work: only what is per byte, call or packet is compared"
    kernels = [one.kernel if isinstance(one, SocketRecording) else one.host.kernel for one in (a, b)]
    if kernels[0] != kernels[1]:
        yield f"they ran on different kernels: {kernels[0]}, {kernels[1]}"
    for name, one in (("A", a), ("B", b)):
        if doubt := evidence_of(one).doubt:
            yield f"{name} cannot be trusted: {doubt}"
    if any(row.differs and row.unit in (Unit.SECONDS, Unit.NS_PER_BYTE, Unit.RATE) for row in rows):
        yield "times are of one run each, without an interval: nettrace compare and sweep repeat theirs"


def _title(recording: Document | SocketRecording, name: str) -> str:
    if isinstance(recording, SocketRecording):
        return f"{name}: {' '.join(recording.subject.argv)}"
    experiment = recording.experiment
    return f"{name}: {experiment.mode}, {experiment.size:,} B messages, over {experiment.link}"


def _figures(recording: Document | SocketRecording) -> Iterator[tuple[str, Figure]]:
    """All figures, in the order of a report; those that --expect knows too have its names."""
    if isinstance(recording, SocketRecording):
        work, rest = _work_of_sockets(recording), _rest_of_sockets(recording)
    else:
        work, rest = _work_of_a_run(recording), _rest_of_a_run(recording)
    yield from work
    for name, (value, _) in evidence_of(recording).figures.items():
        unit = Unit.RATIO if name.endswith("copies") else Unit.SHARE
        yield name, Figure(None if value is None else float(value), Basis.PER_BYTE, unit)
    yield from rest
    if recording.profile is not None:
        yield from _stages(recording.profile)


def _work_of_sockets(recording: SocketRecording) -> Iterator[tuple[str, Figure]]:
    totals = recording.totals
    yield "sent", Figure(totals.sent_bytes, Basis.WORK, Unit.BYTES)
    yield "read", Figure(totals.read_bytes, Basis.WORK, Unit.BYTES)
    yield "sockets", Figure(len(recording.sockets) + recording.unlisted_sockets, Basis.TOTAL)


def _rest_of_sockets(recording: SocketRecording) -> Iterator[tuple[str, Figure]]:
    totals = recording.totals
    yield from _calls("send", totals.sent)
    yield from _calls("read", totals.read)
    for name, packets in (("left", totals.left), ("came", totals.came)):
        yield f"{name}: bytes an skb", _ratio(packets.bytes, packets.packets, Unit.BYTES)
        yield f"{name}: fragments an skb", _ratio(packets.fragments, packets.packets, Unit.RATIO)
    yield "sent again", _ratio(totals.left.again, totals.left.bytes, Unit.SHARE)
    yield "dropped here", Figure(totals.dropped_bytes, Basis.TOTAL, Unit.BYTES)
    yield "refused: EAGAIN", Figure(totals.refused.eagain, Basis.TOTAL)
    yield "refused: ENOBUFS", Figure(totals.refused.enobufs, Basis.TOTAL)
    yield from _notifications(totals.completions)
    yield "elapsed", Figure(recording.window.elapsed_s, Basis.TIME, Unit.SECONDS)


def _calls(verb: str, transfers: dict[str, Transfer]) -> Iterator[tuple[str, Figure]]:
    calls, number = (sum(getattr(one, what) for one in transfers.values()) for what in ("calls", "bytes"))
    yield f"{verb} calls", Figure(calls, Basis.TOTAL)
    yield f"bytes a {verb} call", _ratio(number, calls, Unit.BYTES)


def _notifications(done: Completions | None) -> Iterator[tuple[str, Figure]]:
    if done is not None and done.reaped is not None:
        yield "notifications a read of the queue", _ratio(done.reaped, done.ranges or 0, Unit.RATIO)
        yield "most sends outstanding", Figure(done.most_outstanding, Basis.TOTAL)


def _ratio(part: float, whole: float, unit: Unit) -> Figure:
    return Figure(part / whole if whole else None, Basis.PER_BYTE, unit)


def _work_of_a_run(document: Document) -> Iterator[tuple[str, Figure]]:
    observed = document.observed
    payload = observed.payload_bytes if observed is not None else None
    yield "sent", Figure(payload, Basis.WORK, Unit.BYTES)
    yield "read", Figure(observed.received_bytes if observed is not None else None, Basis.WORK, Unit.BYTES)


def _rest_of_a_run(document: Document) -> Iterator[tuple[str, Figure]]:
    for entry in document.ledger.entries:
        if entry.per_payload_byte is not None:
            yield (
                f"{entry.stage.replace('_', ' ')}: {entry.function}",
                Figure(entry.per_payload_byte, Basis.PER_BYTE, Unit.RATIO),
            )
    if document.workload is not None:
        yield from _times(document.workload)


def _times(bare: Workload) -> Iterator[tuple[str, Figure]]:
    yield "throughput", Figure(bare.throughput_bytes_per_s, Basis.PER_BYTE, Unit.RATE)
    for name, cpu in (("sender", bare.sender_cpu_ns), ("receiver", bare.receiver_cpu_ns)):
        spent = cpu.spent if cpu is not None else None
        value = spent / bare.payload_bytes if spent is not None and bare.payload_bytes else None
        yield f"CPU of the {name}", Figure(value, Basis.PER_BYTE, Unit.NS_PER_BYTE)


def _stages(profile: CpuProfile) -> Iterator[tuple[str, Figure]]:
    for cost in profile.stages:
        yield f"CPU: {cost.stage.replace('_', ' ')}", Figure(cost.ns_per_byte, Basis.PER_BYTE, Unit.NS_PER_BYTE)
