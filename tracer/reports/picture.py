"""The byte's way from the sender's fields to the reader, with the counts on it. Pure text, 80 columns or so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tracer.books.causes import row_of
from tracer.books.tallies import total
from tracer.model import Cause, Document, Entry, Link, Stage
from tracer.units import format_count, format_ratio


class _Step(NamedTuple):
    """What a stage does to a byte; the place that it leads to, empty for a branch that leads aside."""

    stage: Stage
    what: str
    place: str = ""
    causes: tuple[Cause | None, ...] = (None, *Cause)


_TAP = (Cause.PACKET_TAP,)
_ON_THE_WAY = tuple(cause for cause in (None, *Cause) if cause not in _TAP)

# In the order of the way: a tap sees the packet as the driver is about to get it.
_STEPS = (
    _Step(Stage.PACK, "copied in user space, to pack the fields", "one buffer"),
    _Step(Stage.COPY_IN, "copied into the kernel", "socket buffer (skb)"),
    _Step(Stage.PIN, "not copied: the sender's pages are pinned", "socket buffer (skb)"),
    _Step(Stage.SPLICE, "not copied: page-cache pages are referenced", "socket buffer (skb)"),
    _Step(Stage.DROPPED, "dropped"),
    _Step(Stage.LINEARIZE, "copied into linear packets", "linear packet"),
    _Step(Stage.DEFERRED_COPY, "copied aside", causes=_TAP),
    _Step(Stage.BOUNCE, "copied into the bounce buffer", "bounce buffer"),
    _Step(Stage.DMA, "not copied: the device reads the pages by DMA", "device"),
    _Step(Stage.DEFERRED_COPY, "copied after all: the deferred copy", "copied packet", causes=_ON_THE_WAY),
    _Step(Stage.COPY_OUT, "copied to the reader", "reader's buffer"),
)


def draw_path(document: Document) -> list[str]:
    """One line a place, one line a step between two for each cause; steps that touched no byte are left out."""
    place = f"sender's {'buffer' if document.experiment.size < 8 else '8 fields'}"
    lines: list[str] = []
    drawn = None
    for step, entries in _taken(document):
        if drawn != place:
            lines.append(f"  [{place}]")
            drawn = place
        lines.append(_line(step, entries, document.observed.payload_bytes if document.observed else 0))
        if all(entry.bytes is not None for entry in entries):
            place = _leads_to(step, entries[0].cause, document) or place
    return [*lines, f"  [{place}]"] if lines else []


def _taken(document: Document) -> Iterator[tuple[_Step, list[Entry]]]:
    """The steps that touched bytes, or may have: one a cause, with its entries; a branch one an entry."""
    for step in _STEPS:
        here = [entry for entry in document.ledger.entries if entry.stage is step.stage and entry.bytes != 0]
        if step.stage is Stage.DROPPED:
            yield from ((step, [entry]) for entry in here)
            continue
        for cause in step.causes:
            if found := [entry for entry in here if entry.cause is cause]:
                yield step, found


def _leads_to(step: _Step, cause: Cause | None, document: Document) -> str:
    if step.stage is not Stage.DEFERRED_COPY or not step.place:
        return step.place
    place = (row_of(cause).place if cause else "") or step.place
    through = {Link.LO: ", looped by lo", Link.VETH: ", through veth"}
    return place + through.get(document.experiment.link, "")


def _line(step: _Step, entries: list[Entry], payload: int) -> str:
    """A side branch has a tee, and names where it leads."""
    cause = entries[0].cause
    why = f" ({row_of(cause).name})" if cause else ""
    what, tee = f"{step.what}{why}", "│  " if step.place else "├─ "
    size = total(*(entry.bytes for entry in entries))
    if size is None:
        return f"     {tee}{what}? not observed"
    times = f"{format_ratio(size / payload)}x" if payload else "n/a"
    where = ", ".join(dict.fromkeys(entry.function for entry in entries))
    return f"     {tee}{what}: {format_count(size)} B, {times}  {where}"
