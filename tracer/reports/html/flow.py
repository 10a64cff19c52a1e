"""The byte's way as a picture: where bands and places lie, the wider the more bytes. Geometry, no words of its own."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import NamedTuple

from tracer.reports.picture import Leg
from tracer.reports.stage_styles import Kind, look_of

# In the picture's own unit, which is a pixel where 360 of them are as wide as a telephone.
WIDTH, BAND = 360, 250
_PLACE, _STEP, _GAP = 30, 74, 6
# Where the way begins, and the room beside it for what leads aside.
_LEFT = (WIDTH - BAND) / 2
_ASIDE, _ASIDE_ROOM = _LEFT + BAND + _GAP, 46
# What is little is seen, too.
_LEAST = 3.0


class Band(NamedTuple):
    """What one step does to so many bytes.

    Args:
        number: Of the step, as the list beside the picture has it.
        is_unknown: Nobody observed how many: drawn as wide as the way, and dashed.
        stage: Empty for what the steps of this place leave as it is.
    """

    number: int
    stage: str
    x: float
    y: float
    width: float
    height: float
    is_unknown: bool = False

    @property
    def middle(self) -> tuple[float, float]:
        """Where its number stands."""
        return self.x + self.width / 2, self.y + self.height / 2


class Place(NamedTuple):
    """A place where bytes are, and the height that it lies at."""

    name: str
    y: float


class Flow(NamedTuple):
    """A way with its picture.

    Args:
        title: Whose bytes, which way.
        legs: The steps: all that the picture says, in words.
    """

    title: str
    legs: list[Leg]
    places: list[Place]
    bands: list[Band]
    height: float

    @property
    def label(self) -> str:
        """The picture in a sentence."""
        steps = "; ".join(f"{number}: {leg}" for number, leg in enumerate(self.legs, 1))
        return f"{self.title}, in {len(self.legs)} steps, each as wide as its bytes. {steps}"


def flow_of(title: str, legs: list[Leg]) -> Flow:
    """Lays the steps out from top to bottom; those between the same two places lie side by side."""
    places: list[Place] = []
    bands: list[Band] = []
    most, y = _most(legs), 0.0
    for origin, steps in groupby(enumerate(legs, 1), key=lambda pair: pair[1].origin):
        places.append(Place(origin, y))
        y += _PLACE
        for level in _levels(list(steps)):
            bands += _bands(level, y, most)
            y += _STEP
    if legs:
        places.append(Place(legs[-1].place, y))
        y += _PLACE
    return Flow(title, legs, places, bands, y)


Numbered = tuple[int, Leg]


def _most(legs: list[Leg]) -> int:
    """Bytes of the widest level, at least one."""
    levels = _levels(list(enumerate(legs, 1)))
    return max((sum(leg.bytes or 0 for _, leg in level) for level in levels), default=0) or 1


def _levels(steps: list[Numbered]) -> Iterator[list[Numbered]]:
    """Steps that lie side by side: those on the way; what leads aside, and what nobody observed, has its own level."""
    for _, level in groupby(steps, key=_level_of):
        yield list(level)


def _level_of(step: Numbered) -> tuple[int, str]:
    number, leg = step
    return number if leg.aside or leg.bytes is None else 0, leg.origin


def _bands(level: list[Numbered], y: float, most: int) -> Iterator[Band]:
    """The way as wide as its bytes; beside it what leads aside, which leaves the way as it is but for what is lost."""
    (number, leg), *_ = level
    if leg.bytes is None:
        yield Band(number, leg.stage, _LEFT, y, BAND, _STEP, is_unknown=True)
    elif leg.aside:
        lost = leg.bytes if look_of(leg.stage).kind is Kind.LOST else 0
        yield Band(0, "", _LEFT, y, max(_LEAST, BAND * max(0, most - lost) / most), _STEP)
        yield Band(number, leg.stage, _ASIDE, y + _GAP, max(_LEAST, _ASIDE_ROOM * leg.bytes / most), _STEP - 2 * _GAP)
    else:
        yield from _side_by_side(level, y, most)


def _side_by_side(level: list[Numbered], y: float, most: int) -> Iterator[Band]:
    """One band a step, and one for what these steps leave as it is."""
    parts = [(number, leg.stage, leg.bytes or 0) for number, leg in level]
    if left_alone := max(0, most - sum(size for *_, size in parts)):
        parts.append((0, "", left_alone))
    whole = sum(size for *_, size in parts) or 1
    room, x = BAND - _GAP * (len(parts) - 1), _LEFT
    for number, stage, size in parts:
        width = max(_LEAST, room * size / whole)
        yield Band(number, stage, x, y, width, _STEP)
        x += width + _GAP
