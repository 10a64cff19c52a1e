"""The byte's way from the sender's fields to the reader, with the counts on it. Pure text, 80 columns or so."""

from __future__ import annotations

from tracer.model import Document, Entry, Link, Stage
from tracer.units import format_count, format_ratio

# What each stage does to a byte, in the order of the way; the place that it leads to.
_STEPS = (
    (Stage.PACK, "copied in user space, to pack the fields", "one buffer"),
    (Stage.COPY_IN, "copied into the kernel", "socket buffer (skb)"),
    (Stage.PIN, "not copied: the sender's pages are pinned", "socket buffer (skb)"),
    (Stage.SPLICE, "not copied: page-cache pages are referenced", "socket buffer (skb)"),
    (Stage.LINEARIZE, "copied into linear packets", "linear packet"),
    (Stage.BOUNCE, "copied into the bounce buffer", "bounce buffer"),
    (Stage.DMA, "not copied: the device reads the pages by DMA", "device"),
    (Stage.DEFERRED_COPY, "copied after all: the deferred copy", "receiver's socket"),
    (Stage.COPY_OUT, "copied to the reader", "reader's buffer"),
)


def draw_path(document: Document) -> list[str]:
    """One line a place, one line a step between two; steps that touched no byte are left out."""
    places = [f"sender's {'buffer' if document.experiment.size < 8 else '8 fields'}"]
    lines = []
    by_stage = {entry.stage: entry for entry in reversed(document.ledger.entries)}
    for stage, what, place in _STEPS:
        entry = by_stage.get(stage)
        if entry is None or entry.bytes == 0:
            continue
        lines += [f"  [{places[-1]}]", _step(what, entry)]
        places.append(place if stage is not Stage.DEFERRED_COPY else _receive_place(document))
    return [*lines, f"  [{places[-1]}]"] if lines else []


def _receive_place(document: Document) -> str:
    through = {Link.LO: "looped by lo", Link.VETH: "through veth"}.get(document.experiment.link, "")
    return f"receiver's socket, {through}" if through else "receiver's socket"


def _step(what: str, entry: Entry) -> str:
    if entry.bytes is None:
        return f"     │  {what}? not observed"
    return f"     │  {what}: {format_count(entry.bytes)} B, {format_ratio(entry.per_payload_byte)}x  {entry.function}"
