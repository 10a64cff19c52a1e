"""The byte's way from the sender's fields to the reader, with the counts on it. Pure text, 80 columns or so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tracer.books.causes import row_of
from tracer.books.modes import known
from tracer.books.steps import STEPS, Step
from tracer.books.tallies import total
from tracer.model import Cause, Document, Entry, Link, Stage
from tracer.units import format_count, format_ratio

SKB = "socket buffer (skb)"
# What each stage does to a byte, in the words of the picture.
WORDS = {step.stage: step.what for step in STEPS if step.stage is not None}


class Leg(NamedTuple):
    """One step of the way that touched bytes, or may have.

    Args:
        origin: The place where it begins.
        place: The place where the byte is after it: the same one for a branch.
        what: What is done to the byte, and why.
        bytes: None where nobody observed it.
        share: Of the payload; None where that is not known.
        where: Functions that do it.
        aside: A branch: the byte itself goes on from where it was.
    """

    stage: str
    origin: str
    place: str
    what: str
    bytes: int | None
    share: float | None
    where: str
    aside: bool = False

    def __str__(self) -> str:
        """As every picture tells it."""
        if self.bytes is None:
            return f"{self.what}? {self.amount}"
        return f"{self.what}: {self.amount}  {self.where}".rstrip()

    @property
    def amount(self) -> str:
        """How many bytes, and how many times the payload that is."""
        if self.bytes is None:
            return "not observed"
        times = "n/a" if self.share is None else f"{format_ratio(self.share)}x"
        return f"{format_count(self.bytes)} B, {times}"


def draw_path(document: Document) -> list[str]:
    """One line a place, one line a step between two for each cause; steps that touched no byte are left out."""
    legs = legs_of(document)
    lines: list[str] = []
    drawn = None
    for leg in legs:
        if drawn != leg.origin:
            lines.append(f"  [{leg.origin}]")
            drawn = leg.origin
        lines.append(f"     {'├─ ' if leg.aside else '│  '}{leg}")
    return [*lines, f"  [{legs[-1].place}]"] if legs else []


def legs_of(document: Document) -> list[Leg]:
    """The way, step by step; a side branch leads back to where it began."""
    place = _origin(document)
    payload = document.observed.payload_bytes if document.observed else 0
    legs = []
    for step, entries in _taken(document):
        leads_to = ""
        if all(entry.bytes is not None for entry in entries):
            leads_to = _leads_to(step, entries[0].cause, document)
        legs.append(_leg(step, entries, payload, place, leads_to or place))
        place = legs[-1].place
    return _from_one_place(legs)


def _origin(document: Document) -> str:
    """Where the bytes are before anything is done to them; fewer than there are fields are in one."""
    mode, fields = known(document.experiment.mode), document.experiment.fields
    if mode is not None and mode.is_of_a_file:
        return "file in the page cache"
    return f"sender's {'buffer' if document.experiment.size < fields or fields == 1 else f'{fields} fields'}"


def _from_one_place(legs: list[Leg]) -> list[Leg]:
    """Steps that lead to one place begin at one place: a byte takes one of them."""
    found: list[Leg] = []
    for leg in legs:
        before = found[-1] if found else leg
        goes_beside = leg.origin == leg.place == before.place != before.origin
        is_way = not leg.aside and None not in (leg.bytes, before.bytes)
        found.append(leg._replace(origin=before.origin) if goes_beside and is_way else leg)
    return found


def _leg(step: Step, entries: list[Entry], payload: int, origin: str, place: str) -> Leg:
    cause = entries[0].cause
    size = total(*(entry.bytes for entry in entries))
    return Leg(
        stage=str(step.stage),
        origin=origin,
        place=place,
        what=f"{step.what} ({row_of(cause).name})" if cause else step.what,
        bytes=size,
        share=size / payload if payload and size is not None else None,
        where=", ".join(dict.fromkeys(entry.function for entry in entries)),
        aside=not step.place,
    )


def _taken(document: Document) -> Iterator[tuple[Step, list[Entry]]]:
    """The steps that touched bytes, or may have: one a cause, with its entries; a branch one an entry."""
    for step in STEPS:
        here = [entry for entry in document.ledger.entries if entry.stage is step.stage and entry.bytes != 0]
        if step.stage is Stage.DROPPED:
            yield from ((step, [entry]) for entry in here)
            continue
        for cause in step.causes:
            if found := [entry for entry in here if entry.cause is cause]:
                yield step, found


_BEFORE_A_CIPHER = (Stage.COPY_IN, Stage.PIN, Stage.SPLICE)


def _leads_to(step: Step, cause: Cause | None, document: Document) -> str:
    if step.stage in _BEFORE_A_CIPHER and document.observed is not None and document.observed.encrypted:
        return "payload of a TLS record"
    if step.stage is not Stage.DEFERRED_COPY or not step.place:
        return step.place
    place = (row_of(cause).place if cause else "") or step.place
    through = {Link.LO: ", looped by lo", Link.VETH: ", through veth"}
    return place + through.get(document.experiment.link, "")
