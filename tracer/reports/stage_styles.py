"""How a stage looks, in every report: one table of colours."""

from __future__ import annotations

from tracer.model import Entry, Stage

# Green where a copy was avoided, red where one was made, magenta where bytes were lost.
STAGE_STYLES = {
    Stage.PACK: "red",
    Stage.COPY_IN: "red",
    Stage.PIN: "green",
    Stage.SPLICE: "green",
    Stage.DEFERRED_COPY: "red",
    Stage.LINEARIZE: "red",
    Stage.BOUNCE: "red",
    Stage.DMA: "green",
    Stage.COPY_OUT: "red",
    Stage.DROPPED: "magenta",
}
_UNKNOWN, _NOTHING = "yellow", "dim"


def style_of(entry: Entry) -> str:
    """The colour of an entry: its stage's, if it touched a byte and somebody saw it."""
    if entry.bytes is None:
        return _UNKNOWN
    return STAGE_STYLES[entry.stage] if entry.bytes else _NOTHING
