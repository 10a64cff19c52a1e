"""How a stage, and the state of a fact, looks in every report and in every picture: the tables of colours."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from tracer.books.facts import State
from tracer.books.socket_costs import WATCHING
from tracer.books.stage_table import Work
from tracer.books.stages import UNMAPPED
from tracer.model import Entry, Stage
from tracer.model.sockets import PINNED, READ_BY_COPY, SENT_BY_COPY

STATE_COLOURS = {State.OK: "green", State.MISSING: "red", State.UNKNOWN: "yellow"}


class Kind(StrEnum):
    """What a stage does to the payload; a cipher reads all of it, and writes something else."""

    COPIED = "copied"
    AVOIDED = "avoided"
    LOST = "lost"
    WORK = "work"
    CIPHERED = "ciphered"


# In a terminal, whose own colours fit its background: what was done to the bytes. Red and cyan, and no green, because
# the colour-blind tell these apart; the words stand beside them.
_TERMINAL = {Kind.COPIED: "red", Kind.AVOIDED: "cyan", Kind.LOST: "magenta", Kind.WORK: "", Kind.CIPHERED: "blue"}


class Look(NamedTuple):
    """How a stage looks, everywhere.

    Args:
        kind: Copied: a plain colour. Ciphered: one that is hatched. Avoided and lost: white and hatched, the payload is
            not copied there. Work: coloured and hatched, work for the payload without touching it.
        colour: "#RRGGBB", or "white": no colour, whatever the background is.
        hatch: matplotlib's name of it.
    """

    kind: Kind
    colour: str
    hatch: str = ""


# Okabe and Ito, "Color Universal Design", 2008, which the colour-blind can tell apart; black is left to text.
ORANGE, BLUE, GREEN, VERMILION, PURPLE, SKY, YELLOW, GREY = PALETTE = (
    "#E69F00", "#0072B2", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442", "#999999",
)  # fmt: skip
NO_COLOUR = "white"
_LOOKS: dict[str, Look] = {
    Stage.PACK: Look(Kind.COPIED, SKY),
    Work.USER_PACK: Look(Kind.COPIED, SKY),
    Stage.COPY_IN: Look(Kind.COPIED, ORANGE),
    Stage.DEFERRED_COPY: Look(Kind.COPIED, VERMILION),
    Stage.LINEARIZE: Look(Kind.COPIED, PURPLE),
    Stage.BOUNCE: Look(Kind.COPIED, YELLOW),
    Stage.COPY_OUT: Look(Kind.COPIED, BLUE),
    Stage.ENCRYPT: Look(Kind.CIPHERED, ORANGE, "xxx"),
    Stage.DECRYPT: Look(Kind.CIPHERED, BLUE, "xxx"),
    Stage.PIN: Look(Kind.AVOIDED, NO_COLOUR, "///"),
    Stage.SPLICE: Look(Kind.AVOIDED, NO_COLOUR, "..."),
    Stage.DMA: Look(Kind.AVOIDED, NO_COLOUR, "\\\\\\"),
    Stage.SPLICE_OUT: Look(Kind.AVOIDED, NO_COLOUR, "---"),
    Stage.MAP_OUT: Look(Kind.AVOIDED, NO_COLOUR, "+++"),
    Stage.DROPPED: Look(Kind.LOST, NO_COLOUR, "xxx"),
    Work.TCP_IP: Look(Kind.WORK, GREEN, "///"),
    Work.MEMORY: Look(Kind.WORK, PURPLE, "///"),
    Work.LOCKS: Look(Kind.WORK, VERMILION, "///"),
    Work.SCHEDULING: Look(Kind.WORK, SKY, "///"),
    Work.COMPLETION: Look(Kind.WORK, ORANGE, "///"),
    Work.SYSTEM_CALL: Look(Kind.WORK, YELLOW, "///"),
    Work.TIMERS: Look(Kind.WORK, BLUE, "///"),
    Work.DEVICE: Look(Kind.WORK, GREY, "///"),
    Work.OTHER_USER: Look(Kind.WORK, SKY, "..."),
    WATCHING: Look(Kind.WORK, GREY, "..."),
    UNMAPPED: Look(Kind.WORK, GREY, "xxx"),
}
LOOKS: dict[str, Look] = {str(stage): look for stage, look in _LOOKS.items()}
_SMALL_ONES = Look(Kind.WORK, "#DDDDDD")
# What a call of a way does to the bytes, as a stage: (verb, way) -> stage.
_STAGE_OF_WAY = {
    **{("send", way): Stage.COPY_IN for way in SENT_BY_COPY},
    **{("send", way): Stage.PIN for way in PINNED},
    **{("read", way): Stage.COPY_OUT for way in READ_BY_COPY},
    ("send", "splice"): Stage.SPLICE,
    ("read", "splice"): Stage.SPLICE,
    ("read", "mapped"): Stage.MAP_OUT,
}


def look_of(name: str) -> Look:
    """How a stage looks; one look for what is none, the small ones that were put together."""
    return LOOKS.get(name, _SMALL_ONES)


def stage_of_way(verb: str, way: str) -> str:
    """The stage whose look a way has in pictures; "unknown" where nobody knows what it did."""
    return str(_STAGE_OF_WAY.get((verb, way), "unknown"))


_UNKNOWN, _NOTHING = "yellow", "dim"


def style_of(entry: Entry) -> str:
    """A terminal's colour of an entry."""
    return colour_of(entry.stage, entry.bytes)


def colour_of(stage: str, size: int | None) -> str:
    """A terminal's colour: what the stage does, if it touched a byte and somebody saw it."""
    if size is None:
        return _UNKNOWN
    return _TERMINAL[look_of(stage).kind] if size else _NOTHING
